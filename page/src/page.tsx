/** The page: the current view, with head, tabs and sign-in. */

import { type JSX, render } from "preact";
import { useEffect, useState } from "preact/hooks";

import { isSignedIn, signIn, signOut } from "./api";
import { ArmView } from "./arm";
import { onTokenNeeded } from "./connection";
import { Curves } from "./curves";
import { Experiments } from "./experiments";
import { formatCount, statusName } from "./format";
import { allStatuses, Leaderboard } from "./leaderboard";
import { type Live, useLive } from "./live";
import { linkTo, useRoute } from "./route";
import { Scatter } from "./scatter";
import { Empty, Name, Problem } from "./ui";

function Page(): JSX.Element {
  const route = useRoute();
  const experiment = route.get("experiment");
  const [isSignedOut, setSignedOut] = useState(false);
  useEffect(() => onTokenNeeded(() => setSignedOut(true)), []);
  useEffect(() => {
    document.title = [route.get("arm"), experiment, "Podium"].filter(Boolean).join(" · ");
  }, [route]);
  if (isSignedOut) {
    return <SignIn />;
  }
  return (
    <>
      <header class="top">
        <a class="brand" href={linkTo({})}><img src="icon.svg" alt="" width="22" height="22" /> Podium</a>
        {experiment !== null && <Crumbs route={route} experiment={experiment} />}
        {isSignedIn() && <button type="button" class="link end" onClick={() => void signOut().then(() => location.reload())}>Sign out</button>}
      </header>
      {experiment === null ? <Experiments route={route} /> : <ExperimentView key={experiment} name={experiment} route={route} />}
    </>
  );
}

function Crumbs({ route, experiment }: { route: URLSearchParams; experiment: string }): JSX.Element {
  const arm = route.get("arm");
  return (
    <nav aria-label="Where you are">
      <a href={linkTo({ experiment })} aria-current={arm === null ? "page" : undefined}><Name>{experiment}</Name></a>
      {arm !== null && <span aria-current="page"><Name>{arm}</Name></span>}
    </nav>
  );
}

function ExperimentView({ name, route }: { name: string; route: URLSearchParams }): JSX.Element {
  const live = useLive(name);
  return (
    <main>
      <header class="bar">
        <h1><Name>{name}</Name></h1>
        {live.hasAllArms && <Progress arms={live.arms} />}
        <Connection live={live} />
      </header>
      {!route.has("arm") && <Tabs route={route} />}
      {live.error !== undefined && <Problem error={live.error} retry={() => location.reload()} />}
      {live.experiment && <View route={route} live={live} />}
      {!live.experiment && live.error === undefined && <Empty>Loading …</Empty>}
    </main>
  );
}

const tabs = [[undefined, "Leaderboard"], ["curves", "Curves"], ["scatter", "Scatter"]] as const;

/** Links to the views of an experiment. They keep the selected arms and groups. */
function Tabs({ route }: { route: URLSearchParams }): JSX.Element {
  return (
    <nav class="tabs" aria-label="Views">
      {tabs.map(([view, text]) => (
        <a key={text} href={linkTo({ view }, route)} aria-current={(route.get("view") ?? undefined) === view ? "page" : undefined}>{text}</a>
      ))}
    </nav>
  );
}

/** The number of arms by status. It is counted here: the stream updates arms, not the experiment's counts. */
function Progress({ arms }: { arms: Live["arms"] }): JSX.Element {
  const counts = allStatuses.map((each) => [[...arms.values()].filter(({ status }) => status === each).length, statusName(each)] as const)
    .filter(([count]) => count > 0);
  return <span>Arms: {counts.map(([count, name]) => `${formatCount(count)} ${name}`).join(", ") || "none"}</span>;
}

function View({ route, live }: { route: URLSearchParams; live: Live }): JSX.Element {
  if (route.has("arm")) {
    return <ArmView route={route} live={live} />;
  }
  switch (route.get("view")) {
    case "curves": return <Curves route={route} live={live} />;
    case "scatter": return <Scatter route={route} live={live} />;
    default: return <Leaderboard route={route} live={live} />;
  }
}

/** Whether the page is connected, so that it shows the newest state. */
function Connection({ live }: { live: Live }): JSX.Element {
  const [kind, text] = live.isDeleted
    ? ["lost", "deleted: this is its last state"]
    : live.isLost ? ["lost", "connection lost, trying again …"] : ["live", "connected"];
  return <span class={`connection ${kind}`} role="status">{live.experiment && text}</span>;
}

/** Asks for the token once. A cookie that scripts cannot read keeps it. */
function SignIn(): JSX.Element {
  const [problem, setProblem] = useState<string>();
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const token = new FormData(event.target as HTMLFormElement).get("token") as string;
    const found = await signIn(token).catch((error: unknown) => String(error));
    setProblem(found);
    if (found === undefined) {
      location.reload();
    }
  };
  return (
    <main class="signin">
      <h1><img src="icon.svg" alt="" width="28" height="28" /> Podium</h1>
      <p>This server requires a token. A token with the role <code>reader</code> is enough: <code>podium token create NAME --role reader</code></p>
      <form onSubmit={(event) => void submit(event)}>
        <label>Token <input name="token" type="password" autoComplete="off" required autoFocus spellcheck={false} /></label>
        <button type="submit">Show results</button>
      </form>
      {problem !== undefined && <p class="problem" role="alert">{problem}</p>}
      <p class="quiet">This browser keeps it for 30 days. It then shows results, and can change none.</p>
    </main>
  );
}

render(<Page />, document.getElementById("page")!);
