#include "check/rules/interrupts.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::rules {

namespace {

Actor* isr_of(Scene& scene) {
  Actor& actor = scene.actor();
  return actor.acting == Acting::Isr ? &actor : nullptr;
}

// The same, if it has called what queues DPCs. While a run stands still the host may queue one of its own, on whatever is running.
Actor* isr_that_queues(Scene& scene) {
  Actor* isr = isr_of(scene);
  return isr != nullptr && (isr->call == Call::KeInsertQueueDpc || isr->call == Call::IoRequestDpc) ? isr : nullptr;
}

}  // namespace

void Interrupts::on(Scene& scene, const InterruptConnected& fact) {
  Vector& vector = vectors_[fact.vector];
  if (fact.connected) {
    vector.objects[fact.interrupt.value] = fact.latched;
    vector_of_[fact.interrupt.value] = fact.vector;
  } else {
    vector.objects.erase(fact.interrupt.value);
    vector_of_.erase(fact.interrupt.value);
  }
  vector.party = scene.here(fact.connected ? "connected here" : "disconnected here");
}

void Interrupts::on(Scene& scene, const LineChanged& fact) {
  Line& line = lines_[fact.line];
  line.since = fact.asserted ? std::max<std::uint64_t>(scene.stamp.time, 1) : 0;
  line.served = 0;
  line.vector = fact.vector;
  line.level = fact.level;
  if (Actor* isr = isr_of(scene); isr != nullptr && !fact.asserted) {
    const auto vector = vector_of_.find(isr->object);
    if (vector == vector_of_.end() || vector->second != fact.vector) return;
    isr->fell = scene.stamp.time + 1;
    isr->quieted = isr->quieted || isr->touched == isr->fell;
  }
}

// It is told before what a write does, and after what a read does. A line that falls at another time was let go by the device itself.
void Interrupts::on(Scene& scene, const RegisterAccessed&) {
  if (Actor* isr = isr_of(scene)) {
    isr->touched = scene.stamp.time + 1;
    isr->quieted = isr->quieted || isr->fell == isr->touched;
  }
}
void Interrupts::on(Scene& scene, const DpcQueued&) {
  if (Actor* isr = isr_that_queues(scene)) isr->queued = true;
}
void Interrupts::on(Scene& scene, const DpcRefused&) {
  if (Actor* isr = isr_that_queues(scene)) isr->refused = true;
}

void Interrupts::on(Scene& scene, const ActivityBegan& fact) {
  if (fact.kind != ActivityKind::Isr) return;
  const auto vector = vector_of_.find(fact.object.value);
  if (vector == vector_of_.end()) return;
  for (auto& [number, line] : lines_)
    if (line.vector == vector->second) line.served = scene.stamp.time;
}

void Interrupts::on(Scene& scene, const ActivityEnded& fact) {
  if (fact.kind != ActivityKind::Isr || fact.claimed) return;
  const Actor& isr = scene.actor();
  if (!isr.quieted && !isr.queued && !isr.refused) return;
  const auto number = vector_of_.find(isr.object);
  const Vector* vector = number != vector_of_.end() ? &vectors_.at(number->second) : nullptr;
  const bool shared = vector != nullptr && vector->objects.size() > 1;
  const bool latched = vector != nullptr && vector->objects.contains(isr.object) && vector->objects.at(isr.object);
  const char* meaning = "It is alone on its vector, where nobody listens to the answer; with another device there it would be wrong.";
  if (shared && latched)
    meaning = "The vector is shared and latched: the passes over its ISRs may end early, and the edge of another device is lost.";
  if (shared && !latched) meaning = "The vector is shared: the ISRs behind it are called for an interrupt that was served.";
  const char* did = isr.quieted ? "quiets its device" : isr.queued ? "queues a DPC" : "finds its DPC queued already";
  scene.report(RuleId::IsrServedReturnedFalse, fmt::format("An ISR {} and returns FALSE, \"not mine\". {}", did, meaning),
               {scene.at("the ISR", isr.routine)});
}

void Interrupts::on(Scene& scene, const ClockTicked&) {
  if (scene.stamp.processor != 0) return;
  for (const auto& [number, line] : lines_) {
    const auto vector = vectors_.find(line.vector);
    if (line.since == 0 || vector == vectors_.end()) continue;  // of no driver
    const std::uint64_t last = std::max(line.since, line.served);
    if (scene.stamp.time < last + scene.limits.interrupt) continue;
    const bool connected = !vector->second.objects.empty();
    scene.report(RuleId::InterruptLost,
                 fmt::format("The interrupt line {} (vector {:#x}) has been asserted since {:.3f} ms, and {}.", number, line.vector,
                             static_cast<double>(line.since) / 1e6,
                             !connected    ? "nobody is connected to it any more"
                             : line.served ? "no ISR has been called since the edge was served: a further request made no further edge"
                                           : "no ISR was called for it"),
                 {vector->second.party});
  }
}

}  // namespace kdpc::rules
