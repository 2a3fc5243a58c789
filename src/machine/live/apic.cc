#include "machine/live/apic.h"

#include <unistd.h>

#include <bit>

#include "machine/live/calls.h"
#include "machine/live/gate.h"
#include "machine/live/signals.h"
#include "machine/live/tls.h"

namespace kdpc::live::apic {

namespace {

constexpr std::uint64_t bit_of(std::uint8_t vector) { return std::uint64_t{1} << (vector & 63); }
constexpr std::uint32_t bit_of(Irql level) { return 1u << static_cast<unsigned>(level); }

std::uint16_t vectors_at(const Slot& slot, unsigned level) { return static_cast<std::uint16_t>(slot.pending[level / 4] >> (level % 4 * 16)); }

}  // namespace

void settle(Slot& slot, Irql level) {
  slot.pending_levels.fetch_and(~bit_of(level));
  if (vectors_at(slot, static_cast<unsigned>(level)) != 0 || (level == kGateLevel && gate::is_closed())) slot.pending_levels.fetch_or(bit_of(level));
}

void mark(Slot& slot, std::uint8_t vector) {
  slot.pending[vector >> 6].fetch_or(bit_of(vector));
  slot.pending_levels.fetch_or(bit_of(irql_of(vector)));
}

void alert(Slot& slot) {
  if (tls::on_processor() && &slot == &here()) return;
  std::uint32_t doing = slot.attention;
  if (doing == attention::kRunning) {
    if (!slot.signalled.exchange(true)) calls::signal(signals::process(), slot.tid, signals::kInterrupt);
  } else if (doing == attention::kBlocked) {
    if (slot.attention.compare_exchange_strong(doing, attention::kPolling)) calls::wake(slot.attention);
  }
}

void pend(Slot& slot, std::uint8_t vector) {
  mark(slot, vector);
  alert(slot);
}

bool is_pending(const Slot& slot, std::uint8_t vector) { return (slot.pending[vector >> 6] & bit_of(vector)) != 0; }

bool withdraw(Slot& slot, std::uint8_t vector) {
  const bool was = (slot.pending[vector >> 6].fetch_and(~bit_of(vector)) & bit_of(vector)) != 0;
  settle(slot, irql_of(vector));
  return was;
}

std::uint8_t take(Slot& slot, Irql level) {
  for (;;) {
    const std::uint32_t above = slot.pending_levels & ~(bit_of(level) * 2 - 1);
    if (above == 0) return 0;
    const unsigned highest = 31 - static_cast<unsigned>(std::countl_zero(above));
    const std::uint16_t vectors = vectors_at(slot, highest);
    if (vectors == 0) {
      if (static_cast<Irql>(highest) == kGateLevel && gate::is_closed()) return 0;
      settle(slot, static_cast<Irql>(highest));
      continue;
    }
    const auto vector = static_cast<std::uint8_t>(highest * 16 + 31 - static_cast<unsigned>(std::countl_zero(std::uint32_t{vectors})));
    // In service before it stops being pending: whoever asks whether a line's interrupt is under way sees one or the other.
    slot.in_service[vector >> 6].fetch_or(bit_of(vector));
    if (withdraw(slot, vector)) return vector;
    end_service(slot, vector);
  }
}

bool is_in_service(const Slot& slot, std::uint8_t vector) { return (slot.in_service[vector >> 6] & bit_of(vector)) != 0; }
void end_service(Slot& slot, std::uint8_t vector) { slot.in_service[vector >> 6].fetch_and(~bit_of(vector)); }

}  // namespace kdpc::live::apic
