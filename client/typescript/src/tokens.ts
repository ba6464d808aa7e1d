import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

const loopback = /^(?:localhost|127\.[0-9.]+|\[?::1\]?)$/;

/** Returns whether a host is this machine. */
export function isLoopback(host: string): boolean {
  return loopback.test(host);
}

/**
 * Adds a token to each call that has none.
 *
 * @param read Returns the token, if there is one.
 * @param isPrivate Whether the connection is encrypted, or does not leave this machine.
 * @param remedy The end of the error text: how to encrypt the connection.
 */
export function withToken(
  read: () => string | undefined, isPrivate: boolean, address: string, remedy: string,
): Interceptor {
  return (next) => (request) => {
    const token = request.header.has("authorization") ? undefined : read();
    if (token !== undefined && !isPrivate) {
      const text = `the token is not sent to ${address} without encryption: ${remedy}`;
      throw new ConnectError(text, Code.Unauthenticated);
    }
    if (token !== undefined) {
      request.header.set("authorization", `Bearer ${token}`);
    }
    return next(request);
  };
}
