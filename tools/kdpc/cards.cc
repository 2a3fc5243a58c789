#include "tools/kdpc/cards.h"

namespace kdpc::tool {

namespace {

// Where PCs have their serial ports, in the order of COM1, COM2, …
constexpr std::uint64_t kPorts[kMostSerialLines] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
constexpr std::uint64_t kFirstConverter = 0xFE00'0000, kFirstPulse = 0xFE80'0000, kFirstSound = 0xD000, kStep = 0x1000;

}  // namespace

Cards make_cards(const Scenario& scenario, int far_end) {
  Cards made;
  unsigned ports = 0, converters = 0, pulses = 0, sounds = 0;
  for (const DeviceWanted& device : scenario.devices) {
    if (device.is_qemus()) continue;
    if (made.board == nullptr) made.board = std::make_unique<cards::CardBoard>();
    if (device.model == kUartModel) {
      cards::SerialPort& port = made.board->add(cards::SerialPortWish{.name = device.name,
                                                                      .base = kPorts[ports++],
                                                                      .line = static_cast<int>(device.line),
                                                                      .clock = device.clock,
                                                                      .far = {.baud = device.baud},
                                                                      .gap = device.gap_ns,
                                                                      .obeys_rts = device.obeys_rts,
                                                                      .waits_for_room = device.waits_for_room,
                                                                      .descriptor = device.far_end_is_pty ? far_end : -1});
      if (made.line == nullptr) made.line = &port;
    } else if (device.plays()) {
      cards::SoundCard& card =
          made.board->add(cards::SoundCardWish{.name = device.name, .base = kFirstSound + kStep * sounds++, .line = static_cast<int>(device.line)});
      if (made.sound == nullptr) made.sound = &card;
    } else if (device.model == kPulseModel) {
      made.board->add(cards::PulseWish{.name = device.name,
                                       .base = kFirstPulse + kStep * pulses++,
                                       .line = static_cast<int>(device.line),
                                       .messages = device.messages,
                                       .first = device.first_ns,
                                       .period = device.period_ns,
                                       .count = device.count,
                                       .spurious = device.spurious,
                                       .duplicate = device.duplicate,
                                       .dead_after = device.dead_after,
                                       .stuck_after = device.stuck_after,
                                       .late = device.late_ns,
                                       .lost = device.lost,
                                       .storm = device.storm,
                                       .records = device.records,
                                       .early = device.early,
                                       .torn = device.torn,
                                       .piece = device.piece_ns});
    } else {
      made.board->add(cards::ConverterWish{.name = device.name,
                                           .base = kFirstConverter + kStep * converters++,
                                           .line = static_cast<int>(device.line),
                                           .conversion = device.conversion_ns,
                                           .dead_after = device.dead_after,
                                           .stuck_after = device.stuck_after});
    }
  }
  return made;
}

std::vector<Frame> frames_of(const cards::SoundCard& card) {
  const std::vector<std::int16_t> played = card.played();
  std::vector<Frame> frames;
  for (std::size_t sample = 0; sample + 1 < played.size(); sample += 2) frames.push_back({played[sample], played[sample + 1]});
  return frames;
}

}  // namespace kdpc::tool
