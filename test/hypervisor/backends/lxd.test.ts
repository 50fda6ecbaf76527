import { startLxd } from "../../servers/lxd.ts";
import { lxdContract } from "./lxd-contract.ts";

lxdContract({ name: "lxd", start: startLxd });
