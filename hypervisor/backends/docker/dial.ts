import type Docker from "dockerode";

/** What the engine answers, as a stream: dockerode would put the whole of it together. */
export async function dialStream(
  { modem }: { readonly modem: Docker["modem"] },
  request: { readonly path: string; readonly options?: object; readonly signal: AbortSignal },
): Promise<AsyncIterable<Buffer>> {
  const { path, options, signal: abortSignal } = request;
  return new Promise((resolve, reject) => {
    const dialled = {
      path,
      method: "GET",
      isStream: true,
      statusCodes: { 200: true, 404: "not found", 500: "server error" },
      abortSignal,
      ...(options === undefined ? {} : { options }),
    };
    modem.dial(dialled, (error: Error | null, stream: unknown) => {
      if (error !== null) reject(error);
      else resolve(stream as AsyncIterable<Buffer>);
    });
  });
}
