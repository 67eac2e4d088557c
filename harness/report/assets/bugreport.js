// A bug report in the shape of LMDeploy's issue form: checklist, description, reproduction, environment, traceback.

const KEY_PACKAGES = ["lmdeploy", "transformers", "torch", "torchvision", "triton", "tokenizers", "huggingface-hub", "safetensors", "numpy", "pydantic", "qwen-vl-utils"];

function fenced(text) {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text.trimEnd()}\n${fence}`;
}

/** The exceptions without the harness's own frames, unless there are no others. */
function upstream(exceptions) {
  return exceptions.map((one) => {
    const frames = one.frames.filter((frame) => !frame.file.startsWith("probes/"));
    return frames.length ? { ...one, frames } : one;
  });
}

function bugReport(entry) {
  const check = decisiveOf(entry);
  const packages = packagesOf(entry);
  const told = check && check.exceptions.length ? tracebackText(upstream(check.exceptions))
    : check && check.log ? check.log.lines.slice(-40).join("\n") : entry.verdict;
  const cause = causeOf(entry);
  const title = cause ? cause.line || cause.title : entry.verdict;
  const machine = data.machines[entry.machine];
  for (const [name, version] of Object.entries(entry.differences)) {
    if (version === null) packages.delete(name);
    else packages.set(name, version);
  }
  const environment = [
    `Python: ${entry.axes.python ?? "unknown"}`,
    ...KEY_PACKAGES.filter((name) => packages.has(name)).map((name) => `${name}: ${packages.get(name)}`),
    `OS: ${machine.os}, kernel ${machine.kernel}${machine.wsl ? ", WSL2" : ""}`,
    `CPU: ${machine.cpu}, ${machine.cores} cores, ${machine.memory_mib} MiB`,
    `GPU: ${machine.gpus.length ? machine.gpus.map((gpu, place) => `${gpu} (${machine.gpu_memory_mib[place] ?? "?"} MiB)`).join(", ") : "none"}`,
    `Driver: ${machine.driver ?? "none"}`,
  ].join("\n");
  return [
    `[Bug] ${title}`,
    "### Checklist\n\n- [ ] 1. I have searched related issues but cannot get the expected help.\n- [ ] 2. The bug has not been fixed in the latest version.",
    `### Describe the bug\n\n${titleOf(entry)}: ${verdictWords(entry)} Verdict: \`${entry.verdict}\`.${cause && cause.cause ? `\n\nLikely cause: ${cause.cause}` : ""}`,
    `### Reproduction\n\n${fenced(entry.command)}\n\nExact packages:\n\n<details>\n\n${fenced([...packages].map(([name, version]) => `${name}==${version}`).join("\n"))}\n\n</details>`,
    `### Environment\n\n${fenced(environment)}`,
    `### Error traceback\n\n${fenced(told)}`,
  ].join("\n\n") + "\n";
}
