/** The URL has all parameters of the view, as a query after `#`. */

import { useEffect, useState } from "preact/hooks";

/** A change of some parameters. Undefined removes one. */
export type Changes = Record<string, string | readonly string[] | undefined>;

/** The parameters of the view in the URL. */
export function currentRoute(): URLSearchParams {
  return new URLSearchParams(location.hash.slice(1));
}

/** The parameters of a view, after some changes. */
export function changed(route: URLSearchParams, changes: Changes): URLSearchParams {
  const next = new URLSearchParams(route);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    for (const each of typeof value === "string" ? [value] : (value ?? [])) {
      next.append(name, each);
    }
  }
  return next;
}

/** The address of a view. */
export function linkTo(changes: Changes, route = new URLSearchParams()): string {
  return `#${changed(route, changes)}`;
}

/** Changes the view. The browser's history keeps the previous view. */
export function go(changes: Changes): void {
  location.hash = changed(currentRoute(), changes).toString();
}

/** Changes the view without an entry in the history, such as at each key in a field. */
export function replace(changes: Changes): void {
  history.replaceState(undefined, "", linkTo(changes, currentRoute()));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** The parameters of the view; the component is drawn again when they change. */
export function useRoute(): URLSearchParams {
  const [route, setRoute] = useState(currentRoute);
  useEffect(() => {
    const follow = (): void => setRoute(currentRoute());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  return route;
}
