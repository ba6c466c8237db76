// A page that `elbo export --format web` made, in Chromium: with WebGPU, by its software driver, and without.
//
//   node tests/web/page.mjs PACKAGE FOLDER [PARAMETERS [PICTURE]]
//
// PACKAGE is the folder of the npm package `playwright-core`, FOLDER has the page and expected.json as for compare.mjs.
// PARAMETERS takes what a page that trains saves, PICTURE a picture of the page. Prints what is wrong, and exits with 1 if anything is.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const TOLERANCE = 1e-4;
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };
const [packageFolder, folder, saveAs, picture] = process.argv.slice(2);
const { chromium } = (await import(pathToFileURL(resolve(packageFolder, "index.mjs")))).default;
const asked = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
const [faults, paints] = [[], []];

const server = createServer((request, answer) => {
    const name = new URL(request.url, "http://localhost").pathname.slice(1) || "index.html";
    try {
        const bytes = readFileSync(join(folder, name));
        answer.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes);
    } catch {
        answer.writeHead(404).end();
    }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const address = `http://127.0.0.1:${server.address().port}/`;
const args = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args });
for (const [query, engine] of [["", "Computed by WebGPU"], ["?plain", "Computed by JavaScript"]]) {
    for (const [width, colorScheme] of query ? [[1100, "light"], [360, "dark"]] : [[1100, "light"]]) {
        await visit(query, engine, { viewport: { width, height: 900 }, colorScheme }).catch((error) => faults.push(error.stack));
    }
}
await browser.close();
server.close();
faults.forEach((fault) => console.log(fault));
console.log(`Chromium ${browser.version()} has shown the page, at first after ${paints.join(", ")} ms`);
process.exit(faults.length > 0 ? 1 : 0);

async function visit(query, engine, view) {
    const page = await browser.newPage(view);
    const what = `${query || "with WebGPU"}, ${view.viewport.width} pixels`;
    const holds = (fine, why) => fine || faults.push(`${what}: ${why}`);
    page.on("console", (message) => message.type() === "error" && faults.push(`${what}: ${message.text()}`));
    page.on("pageerror", (error) => faults.push(`${what}: ${error.message}`));
    page.on("request", (request) => holds(request.url().startsWith(address), `asks for ${request.url()}`));
    await page.goto(address + query);
    await page.waitForFunction(() => document.documentElement.dataset.ready || document.querySelector("#engine.wrong"), null, { timeout: 120000 });
    const said = await page.textContent("#engine");
    holds(said.startsWith(engine), said);

    const answers = await page.evaluate(async ({ seed, z, x, class: label }) => {
        const { model } = globalThis.elbo;
        const samples = (await model.sample(seed)).flatMap(({ mean }) => [...mean]);
        const decoded = (await model.decode(z.map((values) => Float32Array.from(values)), label)).flatMap((mean) => [...mean]);
        const { distortion, rate } = await model.evaluate(Float32Array.from(x), label, seed);
        const encoded = await model.encode(Float32Array.from(x), label, seed);
        return { samples, decoded, loss: [distortion, rate], code: [...encoded.z], deviation: [...encoded.deviation] };
    }, asked);
    for (const [name, found] of Object.entries(answers)) {
        const off = asked[name].map((value, at) => Math.abs(value - found[at]) / Math.max(1, Math.abs(value)));
        holds(off.every((share) => share <= TOLERANCE), `${name}: ${off.reduce((a, b) => Math.max(a, b), 0)} off`);
    }

    const z = () => page.evaluate(() => [...globalThis.elbo.state.z]);
    const shown = (id) => page.evaluate((name) => {
        const { data } = document.querySelector(name).getContext("2d").getImageData(0, 0, 28, 28);
        return data.reduce((sum, value, at) => (sum * 31 + value + at) % 1000003, 0);
    }, id);
    // Waits until something is no longer what it was.
    const changes = async (of, before, why) => {
        for (let tries = 0; tries < 200; tries += 1) {
            if (JSON.stringify(await of()) !== JSON.stringify(before)) {
                return;
            }
            await new Promise((later) => setTimeout(later, 50));
        }
        holds(false, why);
    };
    const after = async (action, of, why) => {
        let before = null;
        // What came before may still be under way.
        for (let now = await of(); JSON.stringify(now) !== JSON.stringify(before); now = await of()) {
            before = now;
            await new Promise((later) => setTimeout(later, 200));
        }
        await action();
        await changes(of, before, why);
    };
    const here = () => shown("#here canvas");
    const place = async (selector, x, y) => {
        await page.locator(selector).scrollIntoViewIfNeeded();
        const box = await page.locator(selector).boundingBox();
        return [box.x + x * box.width, box.y + y * box.height];
    };
    const click = async (selector, x, y) => page.mouse.click(...await place(selector, x, y));

    await after(() => click("#samples canvas", 0.55, 0.55), here, "a click on a sample decodes nothing");
    await after(async () => {
        await page.locator("#samples canvas").focus();
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("Enter");
    }, here, "arrow keys and Enter choose no sample");
    await after(() => page.click("#reseed"), () => shown("#samples canvas"), "other samples are the same");
    const drag = async (selector, [x1, y1], [x2, y2]) => {
        await page.mouse.move(...await place(selector, x1, y1));
        await page.mouse.down();
        await page.mouse.move(...await place(selector, x2, y2), { steps: 5 });
        await page.mouse.up();
    };
    await after(() => drag("#plane", [0.3, 0.3], [0.8, 0.6]), here, "a drag over the plane decodes nothing");
    const kept = await z();
    await after(async () => page.mouse.move(...await place("#plane", 0.1, 0.1)), here, "the pointer over the plane decodes nothing");
    holds(JSON.stringify(await z()) === JSON.stringify(kept), "the pointer over the plane moves the latent");
    await page.mouse.move(0, 0);
    await after(async () => {
        await page.locator("#plane").focus();
        await page.keyboard.press("ArrowUp");
    }, z, "arrow keys do not move in the plane");
    await after(async () => {
        await page.locator("#sliders input").first().focus();
        await page.keyboard.press("Home");
    }, z, "a slider moves nothing");
    await after(() => page.click("#keep-a"), () => shown("#between canvas"), "A is not kept");

    // An epoch by keys, and back to the beginning.
    const trains = async () => {
        const parameters = () => page.evaluate(() => [...globalThis.elbo.model.parameters.filter((_, at) => at % 50 === 0)]);
        const step = () => page.getAttribute("#trained", "data-step");
        const begun = await parameters();
        await page.fill("#epochs", "1");
        await after(async () => {
            await page.locator("#go").focus();
            await page.keyboard.press("Enter");
        }, () => shown("#samples canvas"), "samples do not follow the training");
        await page.waitForFunction(() => document.querySelector("#go").textContent === "Train");
        const [taken, value] = [Number(await step()), Number(await page.getAttribute("#trained", "data-value"))];
        holds(taken > 0 && value > 0, `${taken} steps were taken, to a loss of ${value}`);
        holds(await page.locator("#curve polyline").count() === 3, "the curve has no three lines");
        holds((await page.textContent("#speed")).includes("ms a step by"), "no speed is told");
        holds(JSON.stringify(await parameters()) !== JSON.stringify(begun), "the explorer keeps the old parameters");
        const [saved] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
        const file = readFileSync(await saved.path());
        const { "encoder.mean.weight": mean } = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE())).toString());
        holds(JSON.stringify(mean?.shape) === "[4,32]", `the mean is saved as ${JSON.stringify(mean)}`);
        if (saveAs) {
            await saved.saveAs(saveAs);
        }
        await after(() => page.click("#restart"), parameters, "a restart keeps what was learnt");
        holds(JSON.stringify(await parameters()) === JSON.stringify(begun), "a restart does not go back to the beginning");
    };
    const loss = () => page.getAttribute("#loss", "data-value");
    await after(async () => {
        await page.getByRole("button", { name: "Clear" }).click();
    }, loss, "an empty picture is not evaluated");
    await after(async () => {
        await drag("#surface", [0.35, 0.2], [0.65, 0.2]);
        await drag("#surface", [0.65, 0.2], [0.45, 0.8]);
    }, loss, "a drawn digit is not evaluated");
    holds(Number(await loss()) > 0, `the loss of a drawn digit is ${await loss()}`);
    await after(() => page.click("#from-own"), z, "the code of a drawn digit is not taken");
    await after(async () => {
        const buffer = await page.locator("#again canvas").screenshot();
        await page.locator("#given input[type=file]").setInputFiles({ name: "again.png", mimeType: "image/png", buffer });
    }, loss, "a picture that is loaded is not evaluated");
    if (await page.locator("#train").isVisible()) {
        await trains();
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    holds(wide <= 0, `the page is ${wide} pixels wider than the window`);
    holds(await page.locator("#card h3").count() > 0, "there is no card");
    const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
    // How long it takes hangs on what else the machine does: it is told and not judged.
    paints.push(Math.round(paint));
    if (picture && query && view.viewport.width > 1000) {
        await page.evaluate(() => scrollTo(0, 0));
        await page.screenshot({ path: picture, clip: { x: 0, y: 0, width: 1100, height: 1600 }, fullPage: true });
    }
    await page.close();
}
