/** Says the suite's faults in the words of the sandbox. */
import type { Fault } from "../../infra/sandbox/vendor.ts";
import type { SuiteFault } from "./destination.suite.ts";
import { NEEDS_FAULTS } from "./needs-faults.ts";

/** For servers that are neither told to fail nor to count. */
export const NOT_OURS = {
  reason: "a server that is not ours cannot be told to fail or to count its calls",
  tests: [...NEEDS_FAULTS, "lists many targets of one container with the calls of one"],
};

/** Which requests read and which write, for vendors whose methods tell. */
export const BY_METHOD: Readonly<Record<SuiteFault["during"], readonly string[]>> = {
  observe: ["GET"],
  apply: ["POST", "PUT", "PATCH", "DELETE"],
};

/** Arms one fault for every method of that kind. */
export function arm(
  vendor: { addFault(fault: Fault): void },
  fault: SuiteFault,
  methods: Readonly<Record<SuiteFault["during"], readonly string[]>> = BY_METHOD,
): void {
  const { kind, status, retryAfter, during } = fault;
  for (const method of methods[during]) {
    vendor.addFault({
      kind,
      method,
      ...(status === undefined ? {} : { status }),
      ...(retryAfter === undefined ? {} : { retryAfter }),
    });
  }
}
