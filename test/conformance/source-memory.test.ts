import { MemoryProject } from "../../services/sources/memory.ts";
import { SyncError } from "../../services/sync/errors.ts";
import { BREAKDOWNS, describeSource } from "./source.suite.ts";

describeSource("memory", async () => {
  const project = new MemoryProject();
  return {
    source: project.source,
    mainId: project.mainId,
    addBranch: (name, wish) => project.addBranch(name, wish),
    removeBranch: (id) => project.removeBranch(id),
    rename: (id, name) => project.rename(id, name),
    setDefault: (id) => project.setDefault(id),
    restore: (id) => project.restore(id),
    replaceEndpoint: (id) => project.replaceEndpoint(id),
    addReadOnlyEndpoint: (id) => project.addReadOnlyEndpoint(id),
    disableEndpoint: (id) => project.setEndpoint(id, { disabled: true }),
    addRole: (id, role, login) => project.addRole(id, role, { login }),
    addDatabase: (id, database, owner) => project.addDatabase(id, database, owner),
    rotate: (id, role) => project.rotate(id, role),
    changePasswordBySql: (id, role, password) => project.changePasswordBySql(id, role, password),
    passwordOf: (id, role) => project.passwordOf(id, role) ?? "",
    stopStoringPasswords: () => {
      project.storesPasswords = false;
    },
    break: (how) => project.fail(new SyncError(BREAKDOWNS[how], how)),
    mend: () => project.fail(null),
    calls: () => project.calls,
    close: async () => undefined,
  };
});
