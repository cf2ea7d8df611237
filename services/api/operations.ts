/** All that can be asked, by name: what the client for TypeScript offers. */
export { applyDocument, readProgress } from "./apply.ts";
export { exportAudit, listAudit, verifyAudit } from "./audits.ts";
export { getBinding, listBindings } from "./bindings.ts";
export { getBranch, listBranches } from "./branches.ts";
export {
  adoptBinding,
  pushBinding,
  releaseBinding,
  resumeBinding,
  suspendBinding,
  sweepBinding,
} from "./commands.ts";
export { revealConnection, revealVariables } from "./connection.ts";
export { getCustody } from "./custody.ts";
export {
  getDestination,
  listDestinations,
  resumeDestination,
  suspendDestination,
} from "./destinations.ts";
export { getEvent, listEvents, redeliverEvent } from "./events.ts";
export { holdBranch, unholdBranch } from "./hold.ts";
export { importDocument } from "./import.ts";
export { getInstallation, resumeAll, suspendAll } from "./installation.ts";
export { getLogin, listLogins } from "./logins.ts";
export { unmanage } from "./managed.ts";
export { matchBranches } from "./matching.ts";
export { makePlan } from "./plan.ts";
export { getPush, listPushes } from "./pushes.ts";
export { getRule, listRules } from "./rules.ts";
export { confirmDeletes, getSource, listSources } from "./sources.ts";
export { changeToken, createToken, getToken, listTokens, revokeToken } from "./tokens.ts";
export { waitForBranch } from "./wait.ts";
