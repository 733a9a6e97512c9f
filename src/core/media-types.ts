/** Media types that more than one part speaks of. */
export const JSON_TYPE = "application/json";
export const BYTES_TYPE = "application/octet-stream";
export const MULTIPART_TYPE = "multipart/form-data";
export const EVENTS_TYPE = "text/event-stream";
export const URL_ENCODED_TYPE = "application/x-www-form-urlencoded";
