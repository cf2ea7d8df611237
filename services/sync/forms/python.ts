/** Django, asyncpg and SQLAlchemy: close to libpq, each with its own exceptions. */
import {
  buildUrl,
  encodePart,
  encodeQuery,
  type Login,
  libpqParameters,
  type Parameter,
} from "../connection-strings.ts";
import { type Form, form } from "./form.ts";
import { systemRoots } from "./libpq.ts";

export const pythonForms: readonly Form[] = [
  form(
    "django",
    "Django",
    "DATABASES as JSON: json.loads it in settings.py. Pooled: server-side cursors are off, as PgBouncer needs.",
    django,
  ),
  form(
    "asyncpg",
    "asyncpg",
    "The URL without channel_binding and connect_timeout, which asyncpg would send to the server as settings.",
    (login) => buildUrl("postgresql", login, libpqParameters(login, ["channel_binding", "connect_timeout"])),
  ),
  form(
    "sqlalchemy-psycopg",
    "SQLAlchemy with psycopg 3",
    "postgresql+psycopg:// with libpq's parameters.",
    (login) => sqlalchemy("postgresql+psycopg", login, "dbname", systemRoots(login)),
  ),
  form(
    "sqlalchemy-asyncpg",
    "SQLAlchemy with asyncpg",
    "postgresql+asyncpg:// with ssl=...: its connect() knows neither sslmode nor channel_binding.",
    sqlalchemyAsyncpg,
  ),
];

/** https://docs.djangoproject.com/en/stable/ref/databases/#transaction-pooling-and-server-side-cursors */
function django(login: Login): string {
  return JSON.stringify({
    default: {
      ENGINE: "django.db.backends.postgresql",
      NAME: login.database,
      USER: login.user,
      PASSWORD: login.password,
      HOST: login.host,
      PORT: String(login.port),
      OPTIONS: Object.fromEntries(systemRoots(login)),
      CONN_HEALTH_CHECKS: true,
      ...(login.via === "pooled" ? { DISABLE_SERVER_SIDE_CURSORS: true } : {}),
    },
  });
}

/** SQLAlchemy's URL decodes user, password and query, but not the database: one that needs it goes to the query. */
function sqlalchemy(
  scheme: string,
  login: Login,
  databaseParameter: string,
  parameters: readonly Parameter[],
): string {
  if (encodePart(login.database) === login.database) return buildUrl(scheme, login, parameters);
  const port = login.port === 5432 ? "" : `:${login.port}`;
  const query = encodeQuery([[databaseParameter, login.database], ...parameters]);
  const userinfo = `${encodePart(login.user)}:${encodePart(login.password)}`;
  return `${scheme}://${userinfo}@${login.host}${port}/?${query}`;
}

/** Each parameter becomes an argument of asyncpg.connect(), as text: what that refuses is left out. */
function sqlalchemyAsyncpg(login: Login): string {
  const parameters = libpqParameters(login, [
    "sslmode",
    "channel_binding",
    "options",
    "connect_timeout",
    "application_name",
  ]);
  const ssl: Parameter = ["ssl", login.options.sslmode];
  return sqlalchemy("postgresql+asyncpg", login, "database", [ssl, ...parameters]);
}
