import { readFileSync } from "node:fs";
import { connect as connectSocket, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";

import { withToken } from "./tokens.js";

/** The PEM files of an encrypted connection. They are read for each new connection. */
export interface TLS {
  /** The certificates of the authorities to trust. The default is those of Node.js. */
  readonly ca?: string | undefined;
  /** The certificate of this client, if the server asks for one. */
  readonly cert?: string | undefined;
  /** The key of that certificate. */
  readonly key?: string | undefined;
}

/** Encryption and token of a client. */
export interface SecurityOptions {
  /**
   * The files of an encrypted connection, or true for the authorities of Node.js. By default, the
   * environment variables PODIUM_TLS_CA, PODIUM_TLS_CERT and PODIUM_TLS_KEY name the files.
   */
  readonly tls?: TLS | boolean | undefined;
  /** The token of each call. The default is the environment variable PODIUM_TOKEN. */
  readonly token?: string | undefined;
  /** The file of the token, which is read for each call. The default is PODIUM_TOKEN_FILE. */
  readonly tokenFile?: string | undefined;
}

/** The target of a connection. */
export type Place = { readonly path: string } | { readonly host: string; readonly port: number };

const { version } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf-8"),
) as { version: string };

/** Opens the connections of a client, and adds its token to each call. */
export class Security {
  /** Whether connections are encrypted. */
  readonly isEncrypted: boolean;
  readonly #address: string;
  readonly #place: Place;
  readonly #isNear: boolean;
  readonly #tls: TLS;
  readonly #readToken: () => string | undefined;

  /**
   * @param isNear Whether all servers of the client are on this machine.
   * @throws TypeError A certificate has no key, or the address is a socket, which has no TLS.
   */
  constructor(
    address: string, place: Place, isNear: boolean, { tls, token, tokenFile }: SecurityOptions,
  ) {
    this.#address = address;
    this.#place = place;
    this.#isNear = isNear;
    const isSocket = "path" in place;
    if (isSocket && tls) {
      throw new TypeError("TLS is not used on unix:PATH addresses; leave out tls");
    }
    const found = tls ?? (isSocket ? false : tlsOfEnvironment());
    this.isEncrypted = found !== false;
    this.#tls = typeof found === "boolean" ? {} : found;
    if ((this.#tls.cert === undefined) !== (this.#tls.key === undefined)) {
      throw new TypeError("a certificate and its key belong together: give both, or neither");
    }
    this.#readToken = tokenReader(token, tokenFile);
  }

  /** Opens a connection, and reads the files for it. */
  readonly connect = (): Socket => {
    const place = this.#place;
    if ("path" in place) {
      return connectSocket(place);
    }
    if (!this.isEncrypted) {
      return connectSocket({ ...place, noDelay: true });
    }
    const { ca, cert, key } = this.#tls;
    const files = { ca: content(ca), cert: content(cert), key: content(key) };
    return connectTls({ ...place, ...files, ALPNProtocols: ["h2"] }).setNoDelay();
  };

  /** Adds the name of the client to each call, and the token unless the call has one. */
  get interceptors(): Interceptor[] {
    const remedy = "set PODIUM_TLS_CA, or give tls";
    return [named, withToken(this.#readToken, this.isEncrypted || this.#isNear, this.#address, remedy)];
  }
}

const named: Interceptor = (next) => (request) => {
  request.header.set("user-agent", `podium-typescript/${version}`);
  return next(request);
};

function tlsOfEnvironment(): TLS | false {
  const { PODIUM_TLS_CA, PODIUM_TLS_CERT, PODIUM_TLS_KEY } = process.env;
  const [ca, cert, key] = [PODIUM_TLS_CA, PODIUM_TLS_CERT, PODIUM_TLS_KEY].map((path) => path || undefined);
  return (ca ?? cert ?? key) === undefined ? false : { ca, cert, key };
}

function tokenReader(token?: string, tokenFile?: string): () => string | undefined {
  const { PODIUM_TOKEN, PODIUM_TOKEN_FILE } = process.env;
  const text = token ?? (tokenFile === undefined ? PODIUM_TOKEN?.trim() || undefined : undefined);
  const path = tokenFile ?? (PODIUM_TOKEN_FILE?.trim() || undefined);
  if (text !== undefined || path === undefined) {
    return () => text?.trim();
  }
  return () => {
    try {
      return readFileSync(path, "utf-8").trim();
    } catch (error) {
      throw new ConnectError(`the token cannot be read: ${String(error)}`, Code.Unauthenticated);
    }
  };
}

function content(path: string | undefined): Buffer | undefined {
  return path === undefined ? undefined : readFileSync(path);
}
