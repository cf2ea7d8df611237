/** The JVM, .NET, and the JSON that AWS's own tools write. */
import {
  encodePart,
  encodeQuery,
  extraParameters,
  type Login,
  type Parameter,
  startupOptions,
} from "../connection-strings.ts";
import { type Form, form } from "./form.ts";

export const jvmDotnetForms: readonly Form[] = [
  form("jdbc", "JDBC", "pgjdbc's URL with user and password as parameters: it reads no userinfo.", (login) =>
    jdbc(login, [
      ["user", login.user],
      ["password", login.password],
    ]),
  ),
  form(
    "jdbc-bare",
    "JDBC, Spring",
    "pgjdbc's URL without user and password, since Java logs URLs; give them as parts beside it.",
    (login) => jdbc(login, []),
    { secret: false },
  ),
  form(
    "npgsql",
    ".NET: Npgsql",
    "An ADO.NET string. Pooled: No Reset On Close, as Npgsql asks behind a transaction pooler. Channel Binding needs Npgsql 8.",
    npgsql,
  ),
  form(
    "aws-rds-json",
    "AWS database secret",
    "The JSON that AWS's drivers, RDS Proxy and rotation functions expect of a database secret.",
    awsRdsJson,
    { takesOptions: false },
  ),
];

/**
 * https://jdbc.postgresql.org/documentation/use/: parameters are read as form encoding, the modes
 * verify-* look for a file of root certificates unless the JVM's own trust store is named.
 */
function jdbc(login: Login, credentials: readonly Parameter[]): string {
  const { sslmode, channelBinding, connectTimeoutSeconds, applicationName, parameters } = login.options;
  const all: Parameter[] = [...credentials, ["sslmode", sslmode]];
  if (channelBinding) all.push(["channelBinding", "require"]);
  if (sslmode !== "require" && !("sslrootcert" in parameters) && !("sslfactory" in parameters))
    all.push(["sslfactory", "org.postgresql.ssl.DefaultJavaSSLFactory"]);
  const startup = startupOptions(login);
  if (startup !== null) all.push(["options", startup]);
  if (connectTimeoutSeconds !== null) all.push(["connectTimeout", String(connectTimeoutSeconds)]);
  if (applicationName !== null) all.push(["ApplicationName", applicationName]);
  all.push(...extraParameters(login.options));
  const port = login.port === 5432 ? "" : `:${login.port}`;
  return `jdbc:postgresql://${login.host}${port}/${encodePart(login.database)}?${encodeQuery(all)}`;
}

const SSL_MODE = { require: "Require", "verify-ca": "VerifyCA", "verify-full": "VerifyFull" } as const;

/** https://www.npgsql.org/doc/connection-string-parameters.html and /doc/compatibility.html#pgbouncer */
function npgsql(login: Login): string {
  const { options } = login;
  const all: Parameter[] = [
    ["Host", login.host],
    ["Port", String(login.port)],
    ["Database", login.database],
    ["Username", login.user],
    ["Password", login.password],
    ["SSL Mode", SSL_MODE[options.sslmode]],
  ];
  if (options.channelBinding) all.push(["Channel Binding", "Require"]);
  const startup = startupOptions(login);
  if (startup !== null) all.push(["Options", startup]);
  if (options.connectTimeoutSeconds !== null) all.push(["Timeout", String(options.connectTimeoutSeconds)]);
  if (options.applicationName !== null) all.push(["Application Name", options.applicationName]);
  const extra = extraParameters(options);
  const saysReset = extra.some(([name]) => name.toLowerCase().replaceAll(" ", "") === "noresetonclose");
  if (login.via === "pooled" && !saysReset) all.push(["No Reset On Close", "true"]);
  return [...all, ...extra].map(([name, value]) => `${name}=${quoteAdo(value)}`).join(";");
}

/** ADO.NET's rule: whatever is not plain goes into double quotes, and a double quote in it is doubled. */
function quoteAdo(value: string): string {
  return /^[^"'=;\s\p{Cc}]+$/u.test(value) ? value : `"${value.replaceAll('"', '""')}"`;
}

/** https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_secret_json_structure.html */
function awsRdsJson(login: Login): string {
  return JSON.stringify({
    engine: "postgres",
    host: login.host,
    username: login.user,
    password: login.password,
    dbname: login.database,
    port: login.port,
  });
}
