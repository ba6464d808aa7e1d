// A clock that `advance` sets forward: `Date`, `performance.now`, timeouts and intervals follow it.
(() => {
    const real = {
        now: Date.now,
        ticks: performance.now.bind(performance),
        set: setTimeout.bind(window),
        clear: clearTimeout.bind(window),
    };
    let ahead = 0;
    let last = 0;
    const timers = new Map();
    const now = () => real.ticks() + ahead;
    const arm = (timer) => {
        real.clear(timer.handle);
        timer.handle = real.set(() => fire(timer), Math.max(0, timer.due - now()));
    };
    const fire = (timer) => {
        if (timers.get(timer.id) !== timer) return;
        if (timer.every === undefined) timers.delete(timer.id);
        else { timer.due += timer.every; arm(timer); }
        timer.run(...timer.values);
    };
    const start = (run, delay, every, values) => {
        const timer = { id: ++last, run, due: now() + (delay || 0), every, values };
        timers.set(timer.id, timer);
        arm(timer);
        return timer.id;
    };
    const stop = (id) => {
        real.clear(timers.get(id)?.handle);
        timers.delete(id);
    };
    Date.now = () => real.now() + ahead;
    performance.now = now;
    window.setTimeout = (run, delay, ...values) => start(run, delay, undefined, values);
    window.setInterval = (run, delay, ...values) => start(run, delay, Math.max(1, delay), values);
    window.clearTimeout = window.clearInterval = stop;
    // Fires what is due in its order, and lets promises and the network go on between steps.
    window.advance = async (ms, steps) => {
        for (let step = 0; step < steps; step++) {
            ahead += ms / steps;
            const due = [...timers.values()].filter((timer) => timer.due <= now());
            due.sort((one, other) => one.due - other.due).forEach(fire);
            timers.forEach(arm);
            await new Promise((resolve) => real.set(resolve, 5));
        }
    };
})();
