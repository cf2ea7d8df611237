/** Every form a rule can name. A form is data and one function; to add one, add it to its family's list. */
import { openLogin, type Via } from "./connection-strings.ts";
import { SyncError } from "./errors.ts";
import type { Form } from "./forms/form.ts";
import { jvmDotnetForms } from "./forms/jvm-dotnet.ts";
import { libpqForms } from "./forms/libpq.ts";
import { partForms } from "./forms/parts.ts";
import { pythonForms } from "./forms/python.ts";
import { urlForms } from "./forms/urls.ts";
import type { ConnectionOptions, LoginMaterial } from "./model.ts";
import { Secret } from "./secret.ts";
import { didYouMean } from "./suggest.ts";

export type { Form } from "./forms/form.ts";
export { dotenvLine } from "./forms/libpq.ts";

export const FORMS: ReadonlyMap<string, Form> = new Map(
  [...urlForms, ...partForms, ...libpqForms, ...jvmDotnetForms, ...pythonForms].map((form) => [
    form.name,
    form,
  ]),
);

/**
 * A login written in a form. Throws `invalid_target` if there is no such form or the host is not the
 * endpoint's, `invalid_secret` if the value cannot be written in it.
 */
export function renderForm(name: string, login: LoginMaterial, options: ConnectionOptions, via: Via): Secret {
  const form = FORMS.get(name);
  if (form === undefined)
    throw new SyncError("invalid_target", `there is no form "${name}"; ${didYouMean(name, FORMS.keys())}`);
  return new Secret(form.render(openLogin(login, via, options)));
}
