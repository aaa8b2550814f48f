// The errors that are told to a person: to the operator at start, to the browser as an answer.

/** The server cannot start. `problem` says what is wrong, `remedy` how to mend it. */
export class StartError extends Error {
  constructor(problem, remedy, options) {
    super(problem, options);
    this.name = "StartError";
    this.remedy = remedy;
  }
}

/** A request that is refused for a reason the caller may know. `status` is the HTTP status, `code` a stable word. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
  }
}
