import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
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

test("a file beside the folder is refused, as kustomize does, and a folder there is taken", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kustomize-"));
  const write = async (path: string, text: string) => {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  try {
    await write("beside/map.yaml", MAP);
    await write("beside/kustomization.yaml", "resources: [map.yaml]\n");
    await write("base/kustomization.yaml", "resources: [../beside]\n");
    expect(await renderKustomization(join(folder, "base"))).toHaveLength(1);

    await write("base/kustomization.yaml", "resources: [../beside/map.yaml]\n");
    await expect(renderKustomization(join(folder, "base"))).rejects.toThrow(
      "../beside/map.yaml is a file that is not in or below its folder",
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
