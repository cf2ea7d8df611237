/** `branchline completion`: what a shell needs to complete our commands and their options. */
import { Argument, Command } from "commander";
import { exitHelp } from "./exit.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** A command, or one below another (`tokens create`), with what may follow it. */
interface Entry {
  /** Words after `branchline`; none: the command itself. */
  readonly path: readonly string[];
  readonly description: string;
  /** Names of commands below it. */
  readonly commands: readonly string[];
  /** Long names. */
  readonly options: readonly string[];
}

/** `all` gives the whole program, with every command in it. */
export function completionCommand(all: () => Promise<Command>): Command {
  return new Command("completion")
    .description("print a script that completes commands and options in your shell")
    .addArgument(new Argument("<shell>", "which shell").choices([...SHELLS]))
    .addHelpText(
      "after",
      `
Examples:
  branchline completion bash > /etc/bash_completion.d/branchline
  branchline completion zsh > "\${fpath[1]}/_branchline"
  branchline completion fish > ~/.config/fish/completions/branchline.fish
${exitHelp([])}`,
    )
    .action(async (shell: Shell) => {
      process.stdout.write(SCRIPTS[shell](entriesOf(await all())));
    });
}

/** Pure. */
export function entriesOf(command: Command, path: readonly string[] = []): Entry[] {
  const below = command.commands.filter((one) => one.name() !== "help");
  const entry = {
    path,
    description: command.description(),
    commands: below.map((one) => one.name()),
    options: [...command.options.flatMap(({ long }) => long ?? []), "--help"],
  };
  return [entry, ...below.flatMap((one) => entriesOf(one, [...path, one.name()]))];
}

const SCRIPTS: Readonly<Record<Shell, (entries: readonly Entry[]) => string>> = { bash, zsh, fish };

function bash(entries: readonly Entry[]): string {
  return `# bash completion for branchline
_branchline() {
  local word path="" current="\${COMP_WORDS[COMP_CWORD]}" choices=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
${entries
  .filter(({ path }) => path.length > 0)
  .map(
    ({ path }) =>
      `      "${[...["", ...path].slice(0, -1)].join(" ")} ${path.at(-1)}") path="${["", ...path].join(" ")}" ;;`,
  )
  .join("\n")}
    esac
  done
  case "$path" in
${entries.map((entry) => `    "${["", ...entry.path].join(" ").trimEnd()}") choices="${words(entry)}" ;;`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$choices" -- "$current"))
}
complete -o default -F _branchline branchline
`;
}

const words = ({ commands, options }: Entry): string => [...commands, ...options].join(" ");

/** zsh takes what bash has. */
function zsh(entries: readonly Entry[]): string {
  return `#compdef branchline
autoload -U +X bashcompinit && bashcompinit
${bash(entries)}`;
}

function fish(entries: readonly Entry[]): string {
  const lines = entries.flatMap(({ path, commands, options }) => {
    const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const none = commands.length > 0 ? [`not __fish_seen_subcommand_from ${commands.join(" ")}`] : [];
    const here = [...seen, ...none].join("; and ") || "true";
    return [
      ...commands.map((name) => {
        const described =
          entries.find((one) => one.path.join(" ") === [...path, name].join(" "))?.description ?? "";
        return `complete -c branchline -f -n '${here}' -a ${name} -d '${described.replaceAll("'", "\\\\'")}'`;
      }),
      ...options.map(
        (option) => `complete -c branchline -n '${seen.join("; and ") || "true"}' -l ${option.slice(2)}`,
      ),
    ];
  });
  return `# fish completion for branchline\n${lines.join("\n")}\n`;
}
