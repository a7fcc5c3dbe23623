/** TLS and API key of a connection. */

import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { isLoopback } from "./address.js";

/** Certificates in PEM: bytes, or the path of a file. */
export interface TlsOptions {
  /** Certificates of the authorities that the server's is checked against; Node's by default. */
  readonly ca?: string | Uint8Array;
  /** The client's own certificate chain, where the server asks for one. */
  readonly certificate?: string | Uint8Array;
  /** The private key of `certificate`. */
  readonly key?: string | Uint8Array;
  /** The name that the server's certificate must hold, when it is not the address's host. */
  readonly serverName?: string;
}

/** What the connection is secured with; undefined for plain text. */
export function resolveTls(tls: boolean | TlsOptions | undefined): TlsOptions | undefined {
  if (tls === false) {
    return undefined;
  }
  const set = typeof tls === "object" ? tls : undefined;
  const known = set ?? fromEnvironment();
  return tls === undefined && Object.keys(known).length === 0 ? undefined : known;
}

function fromEnvironment(): TlsOptions {
  const { SEQWAY_TLS_CA, SEQWAY_TLS_CERTIFICATE, SEQWAY_TLS_KEY } = process.env;
  return {
    ...(SEQWAY_TLS_CA && { ca: SEQWAY_TLS_CA }),
    ...(SEQWAY_TLS_CERTIFICATE && { certificate: SEQWAY_TLS_CERTIFICATE }),
    ...(SEQWAY_TLS_KEY && { key: SEQWAY_TLS_KEY }),
  };
}

/** gRPC's credentials; throws when a file can't be read or half of a pair is missing. */
export function channelCredentials(tls: TlsOptions | undefined): ChannelCredentials {
  if (!tls) {
    return credentials.createInsecure();
  }
  if (!tls.certificate !== !tls.key) {
    throw new TypeError("tls: certificate and key go together: give both or none");
  }
  return credentials.createSsl(bytes(tls.ca), bytes(tls.key), bytes(tls.certificate));
}

function bytes(pem: string | Uint8Array | undefined): Buffer | null {
  if (pem === undefined) {
    return null;
  }
  return typeof pem === "string" ? readFileSync(pem) : Buffer.from(pem);
}

/**
 * The argument, else SEQWAY_API_KEY.  Throws when it would go over a network in plain text, unless
 * the caller allows that.
 */
export function resolveApiKey(
  apiKey: string | undefined,
  address: string,
  protection: { readonly tls: TlsOptions | undefined; readonly allowPlaintextKey: boolean },
): string | undefined {
  const key = apiKey || process.env.SEQWAY_API_KEY || undefined;
  const secret = protection.tls !== undefined || isLoopback(address);
  if (key && !secret && !protection.allowPlaintextKey) {
    throw new TypeError(
      `apiKey: the connection to ${address} has no TLS, and everyone on the way could read the ` +
        "key: set tls (or SEQWAY_TLS_CA), or allowPlaintextKey where something else secures it",
    );
  }
  return key;
}
