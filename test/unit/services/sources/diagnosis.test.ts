import { describe, expect, it } from "vitest";
import { CATALOGUE, CATEGORIES, type Category, diagnose } from "../../../../services/sources/diagnosis.ts";

const coded = (message: string, code: string): Error => Object.assign(new Error(message), { code });

describe("diagnose()", () => {
  const rows: [Category, boolean, unknown][] = [
    [
      "sni",
      false,
      "ERROR: Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support",
    ],
    ["sni", false, "Inconsistent project name inferred from SNI ('ep-a') and project option ('ep-b')."],
    ["sni", false, "Common name inferred from SNI ('eu-nowhere-1.aws.neon.tech') is not known"],
    ["ssl", false, "connection is insecure (try using `sslmode=require`)"],
    ["ssl", false, new Error("The server does not support SSL connections")],
    [
      "ssl",
      false,
      coded("Hostname/IP does not match certificate's altnames", "ERR_TLS_CERT_ALTNAME_INVALID"),
    ],
    ["ssl", false, coded("self-signed certificate", "DEPTH_ZERO_SELF_SIGNED_CERT")],
    ["ip_allow_list", false, "This IP address 203.0.113.7 is not allowed to connect to this endpoint."],
    ["ip_allow_list", false, "VPC endpoint vpce-1 is not allowed: this VPC endpoint vpce-1 not allowed"],
    ["endpoint_missing", false, "Control plane request failed: endpoint cannot be found"],
    ["endpoint_disabled", false, "ERROR: endpoint is disabled. Enable it using Neon API and retry"],
    ["quota", true, "The endpoint is temporarily unavailable. Check your quotas and/or contact our support."],
    ["quota", false, "active endpoints limit exceeded"],
    ["cold_start", true, "Couldn't connect to compute node"],
    ["cold_start", true, "P1001: Can't reach database server"],
    ["cold_start", true, coded("terminating connection due to administrator command", "57P01")],
    ["cold_start", true, coded("the database system is starting up", "57P03")],
    ["connection_limit", true, "Too many connections to this endpoint"],
    ["connection_limit", true, "Failed to acquire permit to connect to the database."],
    [
      "connection_limit",
      true,
      coded("remaining connection slots are reserved for roles with SUPERUSER", "53300"),
    ],
    ["connection_limit", true, coded("query_wait_timeout", "08P01")],
    ["connection_limit", true, "no more connections allowed (max_client_conn)"],
    ["startup_parameter", false, coded("unsupported startup parameter: search_path", "08P01")],
    ["startup_parameter", false, "unsupported startup parameter in options: statement_timeout"],
    ["pooler_mode", false, coded('prepared statement "s0" already exists', "42P05")],
    ["role_without_login", false, coded('role "readers" is not permitted to log in', "28000")],
    ["authentication", false, coded("password authentication failed for user 'app'", "28P01")],
    ["authentication", false, coded('role "nobody" does not exist', "28000")],
    ["authentication", false, new Error("SASL: SCRAM-SERVER-FINAL-MESSAGE: server signature is missing")],
    ["database", false, coded('database "nope" does not exist', "3D000")],
    ["database", false, coded('permission denied for database "shop"', "42501")],
    ["dns", false, coded("getaddrinfo ENOTFOUND ep-x", "ENOTFOUND")],
    ["dns", true, coded("getaddrinfo EAI_AGAIN ep-x", "EAI_AGAIN")],
    ["timeout", true, new Error("timeout expired")],
    ["timeout", true, coded("connect ETIMEDOUT 10.0.0.1:5432", "ETIMEDOUT")],
    ["network", true, coded("connect ECONNREFUSED", "ECONNREFUSED")],
    ["network", true, new Error("Connection terminated unexpectedly")],
    ["network", true, "SSL SYSCALL error: EOF detected"],
    ["network", true, new AggregateError([coded("a", "ECONNREFUSED"), coded("b", "ENETUNREACH")])],
    ["unknown", false, new Error("something else")],
    ["unknown", false, undefined],
  ];
  it.each(rows)("finds %s (transient: %s) in %s", (category, transient, error) => {
    expect(diagnose(error)).toMatchObject({ category, transient });
  });

  it("shows what it knows of the text and the code, and nothing of the rest", () => {
    const { evidence } = diagnose(coded("password authentication failed for user 'tiger'", "28P01"));
    expect(evidence).toBe('the answer contains "password authentication failed" (SQLSTATE 28P01)');
    expect(diagnose(coded("x", "npg_secret")).evidence).not.toContain("npg_secret");
  });

  it("tells a role that is missing from a database that is missing", () => {
    expect(diagnose('FATAL: role "database" does not exist').category).toBe("authentication");
  });
});

describe("CATALOGUE", () => {
  it("is written in lower case, since messages are compared that way", () => {
    const phrases = CATALOGUE.flatMap((row) => row.says ?? []);
    expect(phrases.filter((phrase) => phrase !== phrase.toLowerCase())).toEqual([]);
  });

  it("has a row for every category but those that are found otherwise", () => {
    const used = new Set(CATALOGUE.map((row) => row.category));
    expect(CATEGORIES.filter((category) => !used.has(category))).toEqual(["wrong_login", "unknown"]);
  });
});
