// The section in which the page trains its model.

import { Curve } from "./curve.js";
import { encoded } from "./safetensors.js";
import { Training } from "./training.js";
import { WebGpu } from "./webgpu.js";

// Milliseconds of steps between two looks at the page, about.
const PORTION = 60;
const counted = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

// Lets the page draw and hear what was pressed.
const breathe = () => new Promise((on) => setTimeout(on, 0));

async function open(get, model) {
    let told = null;
    try {
        told = await get.json("training.json");
        const training = await Training.open(get, model.about, { webgpu: model.executor instanceof WebGpu });
        const why = "Without WebGPU this page explores the model and cannot train it: the steps of this training are there as shaders alone.";
        return { told, training, why };
    } catch (error) {
        return { told, training: null, why: `The training cannot be prepared: ${error.message}` };
    }
}

/** Shows the section; `refresh` is called where the model has become another one. */
export async function train({ model, get, refresh }) {
    const [section, go, restart, epochs, told, status, speed, save] =
        ["train", "go", "restart", "epochs", "trained-on", "trained", "speed", "save"].map((id) => document.getElementById(id));
    section.hidden = false;
    const opened = await open(get, model);
    const { training } = opened;
    if (!training) {
        status.textContent = opened.why;
        [go, restart, epochs, save].forEach((control) => Object.assign(control, { disabled: true }));
    }
    if (!opened.told) {
        return;
    }
    const { data, bytes, examples: [begin, end], batch, objective, step } = opened.told;
    const begun = step > 0 ? `goes on after step ${step.toLocaleString("en")} of a run` : "begins with the initial parameters";
    told.textContent = `Training ${begun}, on ${counted(end - begin, "example")} of ${data} (${(bytes / 2 ** 20).toFixed(1)} MiB, part of this `
        + `page), ${batch} a step. It minimises ${objective}.`;
    if (!training) {
        return;
    }
    epochs.value = Math.max(1, opened.told.epochs - training.epoch);
    const curve = new Curve(document.getElementById("curve"));
    const state = { running: false, stops: false, ends: 0, portion: 1, each: 0 };

    const say = () => {
        const [distortion, rate] = training.means;
        const [all, d, r] = [distortion + rate, distortion, rate].map((value) => value.toFixed(2));
        status.textContent = Number.isFinite(distortion)
            ? `Epoch ${Math.ceil(training.step / training.each)}, ${counted(training.step, "step")}: −ELBO ${all} nats = distortion ${d} + rate ${r}, a mean over the epoch so far.`
            : "No step was taken so far.";
        status.dataset.value = distortion + rate;
        status.dataset.step = training.step;
        speed.textContent = state.each > 0 ? `${state.each.toFixed(1)} ms a step by ${training.executor.name}.` : "";
    };
    const take = async () => {
        if (status.dataset.refreshed === String(training.step)) {
            return;
        }
        model.take(await training.parameters());
        await refresh();
        status.dataset.refreshed = training.step;
    };
    const show = () => {
        go.textContent = state.running ? "Pause" : "Train";
        go.setAttribute("aria-pressed", state.running);
        restart.disabled = state.running;
    };
    // One portion: as many steps as fit between two looks at the page.
    const portion = async () => {
        const before = performance.now();
        const done = await training.steps(Math.min(state.portion, state.ends - training.step));
        const each = (performance.now() - before) / done.length;
        // The first steps also wait for what the device has never run.
        state.each = state.each > 0 ? 0.9 * state.each + 0.1 * each : each;
        state.portion = Math.max(1, Math.floor(PORTION / each));
        done.filter(({ terms }) => terms.every(Number.isFinite))
            .forEach(({ step: at, terms: [distortion, rate] }) => curve.add(at, distortion, rate));
        curve.paint();
        say();
        if (training.step % training.each === 0) {
            await take();
        }
    };
    const fail = (error) => {
        status.textContent = `Training has ended: ${error.message}.`;
        status.classList.add("wrong");
    };
    const run = async () => {
        state.running = true;
        state.stops = false;
        state.ends = (training.epoch + Math.max(1, Math.floor(Number(epochs.value)) || 1)) * training.each;
        show();
        try {
            while (!state.stops && training.step < state.ends) {
                await portion();
                await breathe();
            }
            await take();
        } catch (error) {
            fail(error);
        }
        state.running = false;
        go.disabled = false;
        show();
    };
    // A training that was told to stop first ends the steps that it has begun: two at once would take the same steps.
    go.addEventListener("click", () => {
        if (state.running) {
            state.stops = true;
            go.disabled = true;
            return Promise.resolve();
        }
        return run();
    });
    restart.addEventListener("click", async () => {
        try {
            go.disabled = true;
            training.restart();
            curve.clear();
            state.each = 0;
            status.classList.remove("wrong");
            say();
            await take();
        } catch (error) {
            fail(error);
        }
        go.disabled = false;
    });
    save.hidden = !opened.told.layers;
    save.addEventListener("click", async () => {
        try {
            const address = URL.createObjectURL(encoded(await training.parameters(), opened.told.layers));
            Object.assign(document.createElement("a"), { href: address, download: `${model.about.name}.safetensors` }).click();
            setTimeout(() => URL.revokeObjectURL(address), 1000);
        } catch (error) {
            fail(error);
        }
    });
    say();
    show();
    return training;
}
