/** One part of a login each, as it is: PGHOST, PGUSER, PGPASSWORD, PGDATABASE, PGPORT and their like. */
import { type Form, form } from "./form.ts";

const plain = { secret: false, viaMatters: false, takesOptions: false };

export const partForms: readonly Form[] = [
  form("host", "PGHOST", "The host alone; pooled and direct differ.", (login) => login.host, {
    secret: false,
    takesOptions: false,
  }),
  form("user", "PGUSER", "The role's name, not encoded.", (login) => login.user, plain),
  form("password", "PGPASSWORD", "The password, not encoded.", (login) => login.password, {
    ...plain,
    secret: true,
  }),
  form("database", "PGDATABASE", "The database's name, not encoded.", (login) => login.database, plain),
  form("port", "PGPORT", "The port, the same for pooled and direct.", (login) => String(login.port), plain),
];
