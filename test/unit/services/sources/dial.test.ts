import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openDial } from "../../../../services/sources/dial.ts";

const folder = mkdtempSync(join(tmpdir(), "dial-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("openDial()", () => {
  it("reads the certificates that the setting names", () => {
    const ca = join(folder, "ca.pem");
    writeFileSync(ca, "PEM");
    expect(openDial({ host: "10.0.0.1", port: 5432, ca })).toEqual({
      host: "10.0.0.1",
      port: 5432,
      ca: "PEM",
    });
    expect(openDial({ host: "10.0.0.1", port: 5432 })).toEqual({ host: "10.0.0.1", port: 5432 });
  });

  it("is nothing where nothing is set", () => {
    expect(openDial(undefined)).toBeNull();
  });

  it("names the file that it cannot read", () => {
    const ca = join(folder, "gone.pem");
    expect(() => openDial({ host: "h", port: 1, ca })).toThrow(/gone\.pem/);
  });
});
