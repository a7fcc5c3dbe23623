/** Where the server is. */

const DEFAULT_ADDRESS = "127.0.0.1:50051";
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/;

/** The argument, else SEQWAY_ADDRESS, else the local stack's address. */
export function resolveAddress(address: string | undefined): string {
  return address || process.env.SEQWAY_ADDRESS || DEFAULT_ADDRESS;
}

/** Whether all that is sent to the address stays on this machine. */
export function isLoopback(address: string): boolean {
  if (/^unix(-abstract)?:/.test(address)) {
    return true;
  }
  const hosts = address.replace(/^(dns:(\/\/\/)?|ipv[46]:)/, "");
  return hosts.split(",").every((host) => LOOPBACK.test(host));
}
