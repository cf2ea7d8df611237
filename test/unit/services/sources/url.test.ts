import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseUrl, readUrl } from "../../../../services/sources/url.ts";
import { FORMS, renderForm } from "../../../../services/sync/forms.ts";
import { DEFAULT_CONNECTION } from "../../../../services/sync/model.ts";
import { Secret } from "../../../../services/sync/secret.ts";

const HOST = "ep-a-1.c-2.eu-central-1.aws.neon.tech";
const login = (password: string, over = {}) => ({
  role: "app",
  database: "shop",
  password: new Secret(password),
  endpoint: { id: "ep-a-1", host: HOST },
  port: 5432,
  ...over,
});

const URLS = [...FORMS.keys()].filter((name) =>
  /^[a-z+:]+:\/\//.test(renderForm(name, login("x"), DEFAULT_CONNECTION, "direct").reveal()),
);

describe("readUrl()", () => {
  test("reads every URL that Branchline writes, whatever the names and the password hold", () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(text, text, fc.constantFrom(...URLS), (password, role, form) => {
        fc.pre(!/\0|\p{Surrogate}/u.test(password + role));
        const url = renderForm(form, login(password, { role }), DEFAULT_CONNECTION, "direct").reveal();
        const read = parseUrl(url);
        expect(read?.host).toBe(HOST);
        if (form === "jdbc-bare") {
          expect(read?.password).toBeNull();
          return;
        }
        expect([read?.user, read?.password?.reveal(), read?.database]).toEqual([role, password, "shop"]);
        expect(read?.passwords).toContain(password);
        expect(read?.passwords.some((spelling) => url.includes(spelling))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("takes parameters, port, and what is missing as it is", () => {
    expect(readUrl("postgres://app@[::1]:6543?sslmode=require&options=endpoint%3Dep-a")).toMatchObject({
      host: "::1",
      port: 6543,
      user: "app",
      password: null,
      database: null,
      parameters: new Map([
        ["sslmode", "require"],
        ["options", "endpoint=ep-a"],
      ]),
    });
  });

  test.each([
    ["an @ in the password", `postgresql://app:s3cr@et@${HOST}/shop`, "reserved"],
    ["a / in the password", `postgresql://app:12/s3cr@${HOST}/shop`, "reserved"],
    ["a / and letters in the password", `postgresql://app:s3cr/x@${HOST}/shop`, "reserved"],
    ["a ? in the password", `postgresql://app:12?s3cr@${HOST}/shop`, "reserved"],
    ["a # in the password", `postgresql://app:12#s3cr@${HOST}/shop`, "reserved"],
    ["a bare % in the password", `postgresql://app:s3cr%et@${HOST}/shop`, "percent sign"],
    ["a slash too few", `postgresql:/app:s3cr@${HOST}/shop`, "not a PostgreSQL URL"],
    ["no scheme", `app:s3cr@${HOST}/shop`, "not a PostgreSQL URL"],
    ["another database's scheme", `mysql://app:s3cr@${HOST}/shop`, "not a PostgreSQL URL"],
    ["libpq's keywords", `host=${HOST} password=s3cr dbname=shop`, "not a PostgreSQL URL"],
    ["no host", "postgresql://app:s3cr@/shop", "part is missing"],
    ["nothing", "", "not a PostgreSQL URL"],
  ])("says what is wrong with %s and repeats none of it", (_, text, words) => {
    const read = readUrl(text);
    expect(read).toMatchObject({ problem: expect.stringContaining(words) });
    expect(JSON.stringify(read)).not.toContain("s3cr");
    expect(parseUrl(text)).toBeNull();
  });
});
