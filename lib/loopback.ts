/** Whether a host is certainly this machine. Names other than `localhost` are not looked up. */
export function isLoopbackHost(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);
}
