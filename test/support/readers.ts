/** How the consumers of connection strings read them, written from their documentation. For tests only. */

/** libpq's `conninfo_parse`: keyword = value, a value may be in single quotes, `\` escapes. */
export function readLibpq(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let at = 0;
  const skipSpace = () => {
    while (/\s/.test(text[at] ?? "")) at += 1;
  };
  for (skipSpace(); at < text.length; skipSpace()) {
    const equals = text.indexOf("=", at);
    if (equals === -1) throw new Error('missing "=" after keyword');
    const keyword = text.slice(at, equals).trim();
    at = equals + 1;
    skipSpace();
    const quoted = text[at] === "'";
    if (quoted) at += 1;
    let value = "";
    for (;;) {
      const char = text[at];
      if (char === undefined) {
        if (quoted) throw new Error("unterminated quoted string");
        break;
      }
      at += 1;
      if (quoted ? char === "'" : /\s/.test(char)) break;
      if (char === "\\") {
        value += text[at] ?? "";
        at += 1;
      } else value += char;
    }
    found.set(keyword, value);
  }
  return found;
}

/** libpq's URI: each part percent-decoded, `+` is a plus sign. https://www.postgresql.org/docs/current/libpq-connect.html */
export function readLibpqUri(text: string): Map<string, string> {
  const match = /^postgresql:\/\/([^:@/?]*):([^@/?]*)@([^:/?]+)(?::(\d+))?\/([^?]*)(?:\?(.*))?$/s.exec(text);
  if (match === null) throw new Error("not a libpq URI");
  const [, user = "", password = "", host = "", port = "5432", dbname = "", query = ""] = match;
  const found = new Map([
    ["user", decodeURIComponent(user)],
    ["password", decodeURIComponent(password)],
    ["host", decodeURIComponent(host)],
    ["port", port],
    ["dbname", decodeURIComponent(dbname)],
  ]);
  for (const pair of query.split("&").filter((part) => part !== "")) {
    const [name = "", value = ""] = pair.split("=");
    found.set(decodeURIComponent(name), decodeURIComponent(value));
  }
  return found;
}

/** pgjdbc: the query's values and the database go through java.net.URLDecoder, where `+` is a space. */
export function readJdbc(text: string): Map<string, string> {
  const match = /^jdbc:postgresql:\/\/([^:/?]+)(?::(\d+))?\/([^?]*)\?(.*)$/s.exec(text);
  if (match === null) throw new Error("not a pgjdbc URL");
  const [, host = "", port = "5432", database = "", query = ""] = match;
  const decode = (part: string) => decodeURIComponent(part.replaceAll("+", " "));
  const found = new Map([
    ["PGHOST", host],
    ["PGPORT", port],
    ["PGDBNAME", decode(database)],
  ]);
  for (const token of query.split("&")) {
    const equals = token.indexOf("=");
    found.set(token.slice(0, equals), decode(token.slice(equals + 1)));
  }
  return found;
}

/** System.Data.Common.DbConnectionStringBuilder: `key=value;`, values in " or ', the quote doubled inside. */
export function readAdoNet(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let at = 0;
  while (at < text.length) {
    const equals = text.indexOf("=", at);
    if (equals === -1) throw new Error("a keyword without value");
    const key = text.slice(at, equals).trim().toLowerCase();
    at = equals + 1;
    while (/\s/.test(text[at] ?? "")) at += 1;
    const quote = text[at];
    let value = "";
    if (quote === '"' || quote === "'") {
      at += 1;
      for (;;) {
        const close = text.indexOf(quote, at);
        if (close === -1) throw new Error("a quote is not closed");
        value += text.slice(at, close);
        at = close + 1;
        if (text[at] !== quote) break;
        value += quote;
        at += 1;
      }
      while (/\s/.test(text[at] ?? "")) at += 1;
      if (at < text.length && text[at] !== ";") throw new Error("text after a closing quote");
    } else {
      const end = text.indexOf(";", at);
      value = text.slice(at, end === -1 ? text.length : end).trim();
      at = end === -1 ? text.length : end;
    }
    found.set(key, value);
    at += 1;
  }
  return found;
}

/** A .env line as bash, dotenv, Ruby's and Python's readers agree on it. */
export function readDotenv(text: string): Map<string, string> {
  return new Map(
    text.split("\n").map((line) => {
      const match = /^([A-Z_]+)=(?:'([^']*)'|"([^"\\$`!]*)")$/.exec(line);
      if (match === null) throw new Error("a line that readers understand differently");
      return [match[1] ?? "", match[2] ?? match[3] ?? ""];
    }),
  );
}

/** SQLAlchemy's make_url: user, password and query are decoded, the database is not. */
export function readSqlalchemy(text: string): Map<string, string> {
  const match = /^([\w+]+):\/\/([^:/]*):([^@]*)@([^/:?]+)(?::(\d+))?(?:\/([^?]*))?(?:\?(.*))?$/s.exec(text);
  if (match === null) throw new Error("not a SQLAlchemy URL");
  const [, drivername = "", user = "", password = "", host = "", , database = "", query = ""] = match;
  const found = new Map([
    ["drivername", drivername],
    ["username", decodeURIComponent(user)],
    ["password", decodeURIComponent(password)],
    ["host", host],
  ]);
  if (database !== "") found.set("database", database);
  for (const [name, value] of new URLSearchParams(query)) found.set(name, value);
  return found;
}
