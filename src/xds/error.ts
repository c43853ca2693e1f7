/** Configuration of one proxy can't be made. The message is for people; `field` is the path in the resource that stands in the way. */
export class GenerateError extends Error {
  readonly code = 'generate';
  readonly field: string;
  constructor(field: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'GenerateError';
    this.field = field;
  }
}
