/** The state as a table that a person enjoys: branch by destination, with state, generation and age. */
import colors from "yoctocolors";
import { drawRows, screen } from "../../services/cli/table.ts";
import type { BindingItem } from "../../services/store/views.ts";

const PAINT: Readonly<Record<string, (text: string) => string>> = {
  synced: colors.green,
  orphaned: colors.green,
  pending: colors.yellow,
  pushing: colors.cyan,
  retrying: colors.yellow,
  drifted: colors.yellow,
  parked: colors.red,
  removed: colors.dim,
  retained: colors.dim,
  suspended: colors.magenta,
};

/** One row per branch, one column per destination. `now` in milliseconds since the epoch. */
export function drawTable(bindings: readonly BindingItem[], now: number): string {
  const destinations = [...new Set(bindings.map((b) => b.destination))].sort();
  const branches = [...new Set(bindings.map((b) => b.branch.name))].sort();
  const rows = branches.map((branch) => [
    branch,
    ...destinations.map((destination) =>
      cell(
        bindings.find((b) => b.branch.name === branch && b.destination === destination),
        now,
      ),
    ),
  ]);
  return drawRows(["branch", ...destinations], rows, screen());
}

function cell(binding: BindingItem | undefined, now: number): string {
  if (binding === undefined) return colors.dim("-");
  const paint = PAINT[binding.state] ?? ((text: string) => text);
  const code = binding.code === null ? "" : ` ${binding.code}`;
  const generation = `${binding.applied}/${binding.wanted}`;
  return `${paint(binding.state + code)}\n${colors.dim(`generation ${generation}, ${age(now - Date.parse(binding.since))}`)}`;
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  return seconds < 120 ? `${seconds} s` : `${Math.round(seconds / 60)} min`;
}
