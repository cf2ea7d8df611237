import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { startSandbox } from "../../../infra/sandbox/index.ts";

describe("startSandbox()", () => {
  it("starts all five, each open to its seeded credential and to no other", async () => {
    const { neon, vercel, github, aws, vault, credentials, computes, close } = await startSandbox();
    const status = async (url: string, headers: Record<string, string>) =>
      (await fetch(url, { headers: { "user-agent": "test", ...headers } })).status;
    try {
      expect(computes).toBeNull();
      expect(new Set([neon, vercel, github, aws, vault].map(({ url }) => url)).size).toBe(5);
      const project = `${neon.url}/api/v2/projects/${credentials.neon.project}`;
      expect(await status(project, { authorization: `Bearer ${credentials.neon.apiKey}` })).toBe(200);
      expect(await status(project, { authorization: `Bearer ${credentials.vercel.token}` })).toBe(401);
      const user = `${vercel.url}/v2/user`;
      expect(await status(user, { authorization: `Bearer ${credentials.vercel.token}` })).toBe(200);
      const key = {
        authorization: `Bearer ${credentials.github.token}`,
        accept: "application/vnd.github+json",
      };
      expect(await status(`${github.url}/user`, key)).toBe(200);
      const self = `${vault.url}/v1/auth/token/lookup-self`;
      expect(await status(self, { "x-vault-token": credentials.vault.token })).toBe(200);
      expect(await status(self, { "x-vault-token": credentials.neon.apiKey })).toBe(403);
    } finally {
      await close();
    }
    await expect(fetch(neon.url)).rejects.toThrow();
  });

  it("ends what it started when one of the five cannot start", async () => {
    const { vault, close } = await startSandbox();
    const port = Number(new URL(vault.url).port);
    await expect(startSandbox({ vault: { port } })).rejects.toThrow("EADDRINUSE");
    await close();
  });
});

describe("the sandbox as a process", () => {
  const main = fileURLToPath(new URL("../../../dist/infra/sandbox/main.js", import.meta.url));

  it("prints one line of JSON and ends on SIGTERM", async () => {
    const child = spawn(process.execPath, [main], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = await once(createInterface(child.stdout), "line");
    const { urls, credentials } = JSON.parse(line as string);
    expect(Object.keys(urls)).toEqual(["neon", "vercel", "github", "aws", "vault"]);
    const headers = { authorization: `Bearer ${credentials.neon.apiKey}` };
    expect((await fetch(`${urls.neon}/api/v2/auth`, { headers })).status).toBe(200);
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
  });

  it("ends with its parent where told to", async () => {
    const child = spawn(process.execPath, [main, "--with-parent"], { stdio: ["pipe", "pipe", "inherit"] });
    await once(createInterface(child.stdout), "line");
    const ended = once(child, "exit");
    child.stdin.end();
    expect(await ended).toEqual([0, null]);
  });
});
