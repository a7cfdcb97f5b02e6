"""Animated skeletons as one self-contained HTML page: canvas and script inline, nothing is fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from motionlang_pl.motion.skeleton import Skeleton
from motionlang_pl.tools.outputs import write_whole


class SkeletonClip(NamedTuple):
    """A motion to show.

    title: such as its caption.  joints: (T, J, 3) metres, y up.  note: a second line, such as its strongest terms.
    """

    title: str
    joints: Tensor
    note: str = ""


def skeleton_html(clips: Sequence[SkeletonClip], skeleton: Skeleton, fps: float, path: Path) -> None:
    """Write a page that plays the clips side by side, with a time slider and a camera that follows and turns by drag.

    Raises:
        ValueError: joints that are not finite or not the skeleton's.
    """
    data = {
        "fps": fps,
        "parents": skeleton.parents,
        "sides": skeleton.sides(),
        "clips": [{"title": c.title, "note": c.note, "joints": _millimetres(c, skeleton)} for c in clips],
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")  # no caption can end the script element
    write_whole(path, _PAGE.replace("/*DATA*/", text))


def _millimetres(clip: SkeletonClip, skeleton: Skeleton) -> list[list[int]]:
    """Whole millimetres, one flat list of J x 3 per frame: a third of the size of floats."""
    joints = clip.joints.detach().cpu()
    if joints.ndim != 3 or tuple(joints.shape[1:]) != (len(skeleton.joints), 3) or len(joints) == 0:
        expected = f"(frames, {len(skeleton.joints)}, 3)"
        raise ValueError(f"{clip.title!r}: joints are {tuple(joints.shape)}, {skeleton.name} needs {expected}")
    if not joints.isfinite().all():
        raise ValueError(f"{clip.title!r}: joints hold NaN or infinity; `motionlang check` names such clips of a store")
    frames: list[list[int]] = (1000 * joints).round().to(torch.int32).flatten(1).tolist()
    return frames


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Motions</title>
<style>
  body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem; color: #1b2330; background: #f4f5f7; }
  header { display: flex; gap: .8rem; align-items: center; flex-wrap: wrap; margin-bottom: 1rem; }
  button { font: inherit; padding: .3rem .9rem; min-width: 5.5rem; cursor: pointer; }
  input[type=range] { flex: 1; min-width: 10rem; max-width: 30rem; }
  main { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 1rem; }
  figure { margin: 0; background: #fff; border: 1px solid #d9dde3; border-radius: 8px; overflow: hidden; }
  canvas { display: block; width: 100%; height: 300px; cursor: grab; touch-action: pan-y; }
  canvas:active { cursor: grabbing; }
  figcaption { padding: .5rem .8rem .8rem; border-top: 1px solid #e7eaee; }
  .note { color: #566072; font-size: 13px; margin-top: .25rem; overflow-wrap: anywhere; }
  .key { font-size: 13px; color: #566072; }
</style>
</head>
<body>
<header>
  <button id="play" type="button">Pause</button>
  <input id="time" type="range" min="0" max="0" step="1" value="0" aria-label="time">
  <output id="clock"></output>
  <span class="key"><span style="color:#1f6fd0">left</span>, <span style="color:#d1601f">right</span>;
    drag to turn</span>
</header>
<main id="clips"></main>
<script>
"use strict";
const data = /*DATA*/;
const colours = { left: "#1f6fd0", right: "#d1601f", middle: "#3a4454" };
const camera = { yaw: 0.5, pitch: 0.2 };
const longest = Math.max(1, ...data.clips.map(clip => clip.joints.length));
const play = document.getElementById("play");
const slider = document.getElementById("time");
const clock = document.getElementById("clock");
slider.max = longest - 1;
let frame = 0, last = null;
let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;

const views = data.clips.map(clip => {
  const figure = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "animated skeleton: " + clip.title);
  const caption = document.createElement("figcaption");
  caption.textContent = clip.title;
  if (clip.note) {
    const note = document.createElement("div");
    note.className = "note";
    note.textContent = clip.note;
    caption.append(note);
  }
  figure.append(canvas, caption);
  document.getElementById("clips").append(figure);
  canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", event => {
    if (!event.buttons) return;
    camera.yaw -= event.movementX * 0.01;
    camera.pitch = Math.min(1.4, Math.max(-0.2, camera.pitch + event.movementY * 0.01));
    if (!playing) draw();
  });
  let low = Infinity, high = -Infinity;
  for (const row of clip.joints)
    for (let i = 1; i < row.length; i += 3) { low = Math.min(low, row[i]); high = Math.max(high, row[i]); }
  return { clip, canvas, low, middle: (low + high) / 2, reach: Math.max(1000, (high - low) / 2 + 150) };
});

function show(view) {
  const { clip, canvas } = view;
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const paint = canvas.getContext("2d");
  paint.setTransform(ratio, 0, 0, ratio, 0, 0);
  paint.clearRect(0, 0, width, height);
  const row = clip.joints[Math.min(Math.floor(frame), clip.joints.length - 1)];
  const root = [row[0], view.middle, row[2]];
  const scale = 0.46 * Math.min(width, height) / view.reach;
  const cy = Math.cos(camera.yaw), sy = Math.sin(camera.yaw), cp = Math.cos(camera.pitch), sp = Math.sin(camera.pitch);
  const project = (x, y, z) => {
    const dx = x - root[0], dy = y - root[1], dz = z - root[2];
    const across = cy * dx - sy * dz, depth = sy * dx + cy * dz;
    return [width / 2 + scale * across, height / 2 - scale * (cp * dy - sp * depth)];
  };
  const line = (a, b, colour, thick) => {
    paint.strokeStyle = colour;
    paint.lineWidth = thick;
    paint.beginPath();
    paint.moveTo(a[0], a[1]);
    paint.lineTo(b[0], b[1]);
    paint.stroke();
  };
  const step = 500, span = 3;  // floor: lines every half metre, fixed to the world while the camera follows
  const gx = Math.round(root[0] / step), gz = Math.round(root[2] / step);
  for (let i = -span; i <= span; i++) {
    const x = (gx + i) * step, z = (gz + i) * step;
    line(project(x, view.low, (gz - span) * step), project(x, view.low, (gz + span) * step), "#e1e5ea", 1);
    line(project((gx - span) * step, view.low, z), project((gx + span) * step, view.low, z), "#e1e5ea", 1);
  }
  paint.lineCap = "round";
  const points = data.parents.map((_, j) => project(row[3 * j], row[3 * j + 1], row[3 * j + 2]));
  data.parents.forEach((parent, j) => {
    if (parent >= 0) line(points[parent], points[j], colours[data.sides[j]], 3.5);
  });
}

function draw() {
  views.forEach(show);
  slider.value = Math.floor(frame);
  clock.textContent = (Math.floor(frame) / data.fps).toFixed(1) + " s";
}

function tick(now) {
  if (playing && last !== null) frame = (frame + (now - last) / 1000 * data.fps) % longest;
  last = now;
  if (playing) draw();
  requestAnimationFrame(tick);
}

function label() { play.textContent = playing ? "Pause" : "Play"; }
play.addEventListener("click", () => { playing = !playing; label(); });
slider.addEventListener("input", () => { playing = false; label(); frame = Number(slider.value); draw(); });
window.addEventListener("resize", draw);
label();
draw();
requestAnimationFrame(tick);
</script>
</body>
</html>
"""
