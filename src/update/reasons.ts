/** What a failed execution says of the sets that are in force. */
export const BACK_AGAIN = "the databases before the update are active again";
export const UNTOUCHED = "nothing was changed, the databases before the update are active";
