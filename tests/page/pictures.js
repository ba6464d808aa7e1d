// Compares the page with a reference, both made small: `[number of differing cells, small picture]`.
// A cell is the mean colour of 16 x 16 pixels, so that the edges of letters do not matter.
const [shot, reference, done] = arguments;
const cell = 16;
const most = 10;

async function cells(base64, width, height) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(width ?? Math.floor(image.width / cell), height ?? Math.floor(image.height / cell));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (width === undefined) {
        // Halved again and again, so that each pixel counts.
        let [from, size] = [image, [image.width, image.height]];
        for (let scale = 2; scale < cell; scale *= 2) {
            const half = new OffscreenCanvas(Math.floor(size[0] / 2), Math.floor(size[1] / 2));
            half.getContext("2d").drawImage(from, 0, 0, half.width, half.height);
            [from, size] = [half, [half.width, half.height]];
        }
        context.drawImage(from, 0, 0, canvas.width, canvas.height);
    } else {
        context.drawImage(image, 0, 0);
    }
    return { canvas, data: context.getImageData(0, 0, canvas.width, canvas.height).data };
}

async function encoded(canvas) {
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
    return btoa(String.fromCharCode(...bytes));
}

(async () => {
    const found = await cells(shot);
    const picture = await encoded(found.canvas);
    if (!reference) return [0, picture];
    const { width, height } = found.canvas;
    const expected = await cells(reference, width, height);
    let differing = 0;
    for (let at = 0; at < found.data.length; at += 4) {
        const far = [0, 1, 2].some((part) => Math.abs(found.data[at + part] - expected.data[at + part]) > most);
        differing += far ? 1 : 0;
    }
    return [differing, picture];
})().then(done);
