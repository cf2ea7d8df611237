import { describe, expect, test } from "vitest";
import { refuseAddress } from "../../../../services/http/address.ts";

describe("refuseAddress()", () => {
  test.each([
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:a00:1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
  ])("refuses %s unless the network may be private", (address) => {
    expect(refuseAddress(address, false)).not.toBeNull();
    expect(refuseAddress(address, true)).toBeNull();
  });

  test.each([
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "::ffff:169.254.169.254",
  ])("refuses %s always", (address) => {
    expect(refuseAddress(address, false)).not.toBeNull();
    expect(refuseAddress(address, true)).not.toBeNull();
  });

  test.each([
    "1.1.1.1",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::1.1.1.1",
  ])("allows %s", (address) => {
    expect(refuseAddress(address, false)).toBeNull();
  });
});
