/** An answer that a route refuses with: becomes `application/problem+json` (RFC 9457). Its detail is shown to the client. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    title: string,
    detail?: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail === undefined ? title : `${title}: ${detail}`);
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.headers = headers;
  }
}
