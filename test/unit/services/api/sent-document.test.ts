import { expect, test } from "vitest";
import { sentDocument } from "../../../../services/api/plan.ts";

const ofBytes = (...sizes: number[]) =>
  sizes.map((size, index) => ({ name: `${index}.yaml`, text: "#".repeat(size) }));

test("the files of a document share one MiB", () => {
  const half = 512 * 1024;
  expect(sentDocument.files.safeParse(ofBytes(half, half)).success).toBe(true);
  const { error } = sentDocument.files.safeParse(ofBytes(half, half, 1));
  expect(error?.issues.map(({ message }) => message)).toEqual(["the files together are larger than 1 MiB"]);
});
