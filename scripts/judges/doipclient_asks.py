"""An independent DoIP and UDS client (doipclient, udsoncan) drives the simulator: `doipclient_asks.py <ip> <port>`."""
import sys
import udsoncan
from doipclient import DoIPClient
from doipclient.connectors import DoIPClientUDSConnector
from doipclient.messages import RoutingActivationRequest
from udsoncan.client import Client
from udsoncan.exceptions import NegativeResponseException

ip, port = sys.argv[1], int(sys.argv[2])
ECU, TESTER = 0x1000, 0x0E00
# Three entities share the address: each answers a request for identification.
ENTITIES = (0x1000, 0x2000, 0x3000)
VIN = "SCEDT26T8BD005261"
checks = 0


def check(what, good):
    global checks
    checks += 1
    if not good:
        print(f"FAILED {what}")
        sys.exit(1)


class Text(udsoncan.DidCodec):
    def encode(self, value):
        return value.encode()

    def decode(self, data):
        return data.decode()

    def __len__(self):
        return 17


class Raw(udsoncan.DidCodec):
    def __init__(self, length):
        self.length = length

    def encode(self, value):
        return value

    def decode(self, data):
        return bytes(data)

    def __len__(self):
        return self.length


doip = DoIPClient(ip, ECU, tcp_port=port, udp_port=port, client_logical_address=TESTER, activation_type=None)
activation = doip.request_activation(RoutingActivationRequest.ActivationType.Default)
check("routing activation", activation.response_code == 0x10)
check("logical address of the activation", activation.logical_address == ECU)
identified = doip.request_vehicle_identification()
check("vehicle identification", identified.vin == VIN and identified.logical_address in ENTITIES)
by_vin = doip.request_vehicle_identification(vin=VIN)
check("vehicle identification by VIN", by_vin.vin == VIN)
by_eid = doip.request_vehicle_identification(eid=b"\x00" * 6)
check("vehicle identification by EID", by_eid.logical_address in ENTITIES)
status = doip.request_entity_status()
check("entity status", status.node_type in (0, 1) and status.max_concurrent_sockets > 0)
check("power mode", doip.request_diagnostic_power_mode().diagnostic_power_mode in (0, 1, 2))
check("alive check", doip.request_alive_check().source_address == ECU)
print(f"doipclient: {checks} checks")
doip_checks = checks

config = dict(udsoncan.configs.default_client_config)
config["data_identifiers"] = {0xF190: Text, 0xF186: Raw(1), 0xD001: Raw(2)}
config["security_algo"] = lambda level, seed, params: bytes((byte + 0x0D) & 0xFF for byte in seed)
config["request_timeout"] = 5
config["p2_timeout"] = 2
with Client(DoIPClientUDSConnector(doip, close_connection=False), config=config) as client:
    check("VIN", client.read_data_by_identifier(0xF190).service_data.values[0xF190] == VIN)
    check("extended session", client.change_session(3).positive)
    check("active session", client.read_data_by_identifier(0xF186).service_data.values[0xF186] == b"\x03")
    check("security access", client.unlock_security_access(3).positive)
    check("write", client.write_data_by_identifier(0xD001, b"\x01\x02").positive)
    check("read back", client.read_data_by_identifier(0xD001).service_data.values[0xD001] == b"\x01\x02")
    check("routine", client.start_routine(0x1001).positive)
    check("routine results", client.start_routine(0x1002).positive and client.get_routine_result(0x1002).positive)
    check("routine stop", client.stop_routine(0x1002).positive)
    check("faults by status", client.get_dtc_by_status_mask(0xFF).service_data.dtc_count == 0)
    check("number of faults", client.get_number_of_dtc_by_status_mask(0xFF).service_data.dtc_count == 0)
    check("clear faults", client.clear_dtc(0xFFFFFF).positive)
    check("DTC setting", client.control_dtc_setting(2).positive and client.control_dtc_setting(1).positive)
    check("communication control", client.communication_control(0, 1).positive)
    check("tester present", client.tester_present().positive)
    with client.suppress_positive_response:
        client.tester_present()
    try:
        client.change_session(0x55)
        check("unknown session is refused", False)
    except NegativeResponseException as refusal:
        check("unknown session is refused", refusal.response.code == 0x31)
    check("reset", client.ecu_reset(3).positive)
    check("default session", client.read_data_by_identifier(0xF186).service_data.values[0xF186] == b"\x01")
    for _ in range(200):
        check("back to back", client.read_data_by_identifier(0xF190).positive)
doip.close()
print(f"udsoncan: {checks - doip_checks} checks")
