/** The server's side of a process that does one piece of long work, or answers one question. */
import { type ChildProcess, fork } from "node:child_process";
import { NextxError } from "../../tensor/errors.ts";
import { arrivedError } from "../errors.ts";
import type { FromOperator, OperatorSetting, Question, ToOperator, Work, WorkEvent } from "./messages.ts";
import { type WorkEnd, WorkFailure } from "./working.ts";

/** Starts processes; the way of doing so is handed in. */
export interface Operators {
  /** Rejects with COMPUTE_CRASHED when the process ended, else with the work's own error. `stop` asks it to end early. */
  work(
    work: Work,
    onEvent: (event: WorkEvent) => void,
  ): { readonly ended: Promise<WorkEnd>; stop(): void; kill(): void };
  ask(question: Question): Promise<unknown>;
}

/** Longest that a question may take. */
const questionMs = 60_000;
/** Work that was told to stop and goes on for longer is ended. */
const stopMs = 60_000;

const crashed = () => new NextxError("COMPUTE_CRASHED", "The computing process ended.");

function send(child: ChildProcess, message: ToOperator): void {
  if (child.connected) child.send(message, () => undefined); // a lost channel is followed by the exit event
}

export class OperatorProcesses implements Operators, Disposable {
  readonly #entry: URL;
  readonly #setting: OperatorSetting;
  readonly #children = new Set<ChildProcess>();

  constructor(entry: URL, setting: OperatorSetting) {
    this.#entry = entry;
    this.#setting = setting;
  }

  work(work: Work, onEvent: (event: WorkEvent) => void): ReturnType<Operators["work"]> {
    const child = this.#start();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ended = new Promise<WorkEnd>((resolve, reject) => {
      child.on("message", (message: FromOperator) => {
        if (message.kind === "ready") send(child, { kind: "work", work, setting: this.#setting });
        else if (message.kind === "event") onEvent(message.event);
        else if (message.kind === "ended") resolve(message);
        else if (message.kind === "failed") {
          const error = arrivedError(message.error);
          reject(message.result ? new WorkFailure(error, message.result) : error);
        }
      });
      for (const event of ["exit", "error"]) child.on(event, () => reject(crashed()));
    }).finally(() => clearTimeout(timer));
    return {
      ended,
      stop: () => {
        send(child, { kind: "stop" });
        timer = setTimeout(() => child.kill("SIGKILL"), stopMs);
      },
      kill: () => void child.kill("SIGKILL"),
    };
  }

  async ask(question: Question): Promise<unknown> {
    const child = this.#start();
    const timer = setTimeout(() => child.kill("SIGKILL"), questionMs);
    try {
      return await new Promise((resolve, reject) => {
        child.on("message", (message: FromOperator) => {
          if (message.kind === "ready") send(child, { kind: "question", question, setting: this.#setting });
          else if (message.kind === "answer") resolve(message.answer);
          else if (message.kind === "failed") reject(arrivedError(message.error));
        });
        for (const event of ["exit", "error"]) child.on(event, () => reject(crashed()));
      });
    } finally {
      clearTimeout(timer);
      child.kill("SIGKILL");
    }
  }

  #start(): ChildProcess {
    const child = fork(this.#entry, [], {
      serialization: "advanced",
      execArgv: [],
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    this.#children.add(child);
    child.on("exit", () => this.#children.delete(child));
    return child;
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}
