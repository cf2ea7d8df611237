/** What a run found, for people and for machines. Never holds a value. */
import type { Isolation } from "./isolation.ts";
import type { Change } from "./witness.ts";

export interface Violation {
  readonly promise: string;
  readonly what: string;
  readonly place: string | null;
  /** Seconds after the first fault. */
  readonly at: number;
  /** What happened around it, oldest first. */
  readonly timeline: readonly string[];
}

export interface Report {
  readonly seed: number;
  readonly minutes: number;
  readonly faults: number;
  readonly pushes: number;
  readonly violations: readonly Violation[];
  readonly kinds: Readonly<Record<string, number>>;
  readonly queue: "postgres" | "redis";
  readonly processes: number;
  readonly webhooks: {
    readonly answers: Readonly<Record<number, number>>;
    readonly accepted: number;
    readonly forged: number;
  };
  /** Passwords that Neon set, and requests that the vendors saw. */
  readonly generations: number;
  readonly requests: Readonly<Record<string, number>>;
  /** From the last fault's end until every place was as Neon says and nothing was left to do. */
  readonly convergedSeconds: number | null;
  /** How the others fared while one destination was ill; null: it did not come to that. */
  readonly isolation: Isolation | null;
  readonly logLines: number;
  readonly notes: readonly string[];
}

/** Something that was done, in words. */
export interface Entry {
  readonly at: number;
  readonly what: string;
}

const BEFORE_MS = 6_000;
const AFTER_MS = 1_500;
const MOST = 60;

/** What was done around a moment, and what changed at the place in question. */
export function timeline(
  journal: readonly Entry[],
  changes: readonly Change[],
  { at, place }: { readonly at: number; readonly place: string | null },
  startedAt: number,
): string[] {
  const told = changes
    .filter((change) => place === null || change.place === place)
    .map((change) => ({
      at: change.at,
      what: `  ${change.place} ${change.name}: ${change.from} -> ${change.to}`,
    }));
  return [...journal, ...told]
    .filter((entry) => entry.at >= at - BEFORE_MS && entry.at <= at + AFTER_MS)
    .sort((a, b) => a.at - b.at)
    .slice(-MOST)
    .map((entry) => `${seconds(entry.at - startedAt)} ${entry.what}`);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2).padStart(7)} s`;

function isolationInWords(isolation: Isolation | null): string[] {
  if (isolation === null) return [];
  const { peaceMs, trials } = isolation;
  const slowest = (times: Readonly<Record<string, number | null>>): string => {
    const all = Object.values(times);
    return all.includes(null) ? "never" : `${(Math.max(...all.map(Number)) / 1000).toFixed(1)} s`;
  };
  const told = trials.map(({ ill, destination, othersMs }) => `${destination} ${ill}: ${slowest(othersMs)}`);
  return [`New passwords were everywhere after ${slowest(peaceMs)}; the others', with ${told.join(", ")}.`];
}

export function inWords(report: Report): string {
  const { seed, minutes, faults, kinds, pushes, webhooks, convergedSeconds, violations } = report;
  const sorted = Object.entries(kinds).sort((a, b) => b[1] - a[1]);
  const answers = Object.entries(webhooks.answers)
    .map(([status, n]) => `${n} x ${status === "0" ? "none" : status}`)
    .join(", ");
  const lines = [
    `Seed ${seed}, ${minutes} min, ${report.processes} processes, queue in ${report.queue}.`,
    `${faults} faults: ${sorted.map(([kind, n]) => `${n} ${kind}`).join(", ")}.`,
    `${report.generations} passwords set at Neon, ${webhooks.accepted} webhooks accepted (answers: ${answers}), ` +
      `${webhooks.forged} forged, ${pushes} pushes.`,
    convergedSeconds === null
      ? "It did not come to rest."
      : `At rest, and exactly as Neon says, ${convergedSeconds} s after the last fault.`,
    `Requests: ${Object.entries(report.requests)
      .map(([vendor, n]) => `${vendor} ${n}`)
      .join(", ")}.`,
    ...isolationInWords(report.isolation),
    ...report.notes,
    violations.length === 0 ? "No promise was broken." : `${violations.length} promises broken:`,
  ];
  for (const { promise, what, place, at, timeline: around } of violations) {
    lines.push(`\n${promise}${place === null ? "" : ` at ${place}`}, ${at.toFixed(1)} s: ${what}`, ...around);
  }
  return `${lines.join("\n")}\n`;
}
