/** Cases of the destination suite that make the vendor fail, or count its calls: not for servers that are not ours. */
export const NEEDS_FAULTS: readonly string[] = [
  ...["observe()", "apply()"].flatMap((verb) => [
    `${verb} reports a refusal as forbidden`,
    `${verb} reports a limit as rate_limited, with the wait it was told`,
    `${verb} reports a server error as unavailable`,
  ]),
  "gives up on a vendor that never answers",
  "says that it does not know when the answer to a write is lost",
  "lets go of a call under way when its work is stopped",
  "does nothing more once its work is stopped",
];
