import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { renderKustomization } from "../../ops/kubernetes/render.ts";

const MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n";

test("a file of patches with more than one object is refused, as kubectl before 1.30 does", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kustomize-"));
  try {
    await writeFile(
      join(folder, "kustomization.yaml"),
      "resources: [map.yaml]\npatches: [{ path: patch.yaml }]\n",
    );
    await writeFile(join(folder, "map.yaml"), MAP);
    await writeFile(join(folder, "patch.yaml"), `${MAP}data: { x: "1" }\n`);
    expect(await renderKustomization(folder)).toMatchObject([{ data: { x: "1" } }]);

    await writeFile(join(folder, "patch.yaml"), `${MAP}---\n${MAP}`);
    await expect(renderKustomization(folder)).rejects.toThrow(
      "patch.yaml: a patch is one object, here are 2",
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
