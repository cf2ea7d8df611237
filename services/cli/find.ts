/** What people call things by, found at the server. */
import { z } from "zod";
import { type BindingItem, bindingItem } from "../api/bindings.ts";
import { type BranchItem, branchItem } from "../api/branches.ts";
import type { Client } from "./client.ts";
import { CommandError, EXIT } from "./exit.ts";
import { parsePlace } from "./place.ts";

/** The id of the one binding that is meant by its id, or by its rule and its branch. */
export async function findBinding(client: Client, text: string): Promise<string> {
  if (z.uuid().safeParse(text).success) return text;
  const slash = text.indexOf("/");
  const [rule, branch] = slash === -1 ? [text, ""] : [text.slice(0, slash), text.slice(slash + 1)];
  if (rule === "" || branch === "") {
    throw new CommandError(EXIT.data, "expected the id of a binding, or RULE/BRANCH");
  }
  const found = await client.list("/v1/bindings", { rule, branch }, bindingItem);
  // A branch that was made again under its name left its predecessor's binding behind.
  const live = found.filter((one: BindingItem) => one.state !== "removed" && one.state !== "retained");
  const [one, ...more] = live.length > 0 ? live : found;
  if (one === undefined) {
    throw new CommandError(EXIT.missing, `there is no binding of the rule ${rule} for the branch ${branch}`);
  }
  if (more.length === 0) return one.id;
  throw new CommandError(
    EXIT.data,
    `${more.length + 1} bindings are called so: ${[one, ...more].map((each) => each.id).join(", ")}`,
  );
}

/** The one branch that is meant by its id, by `SOURCE/BRANCH`, or by `SOURCE` for its default branch. */
export async function findBranch(client: Client, text: string): Promise<BranchItem> {
  if (z.uuid().safeParse(text).success) return await client.get(`/v1/branches/${text}`, {}, branchItem);
  const { source, branch } = parsePlace(text);
  const found = await client.list("/v1/branches", { source, name: branch }, branchItem);
  const [one] = found.filter((item) => item.state !== "gone" && (branch !== null || item.default));
  if (one !== undefined) return one;
  const what = branch === null ? `a default branch of ${source}` : `the branch ${branch} of ${source}`;
  throw new CommandError(
    EXIT.missing,
    `${what} is not known\n  \`branchline branches\` lists those that are; a new one is seen within the watch interval.`,
  );
}
