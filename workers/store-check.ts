/** Entry of the process that checks a store, for the bundle: beside the sources the store starts the imported module itself. */
import "#store/check-main.ts";
