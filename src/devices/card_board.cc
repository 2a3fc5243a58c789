#include <algorithm>
#include <cstring>
#include <type_traits>

#include "base/invariant.h"
#include "devices/card.h"

namespace kdpc::cards {

namespace {

constexpr unsigned kMostCards = CardBoard::kMostCards, kMostLines = 16;

// In one piece, and nothing in it points anywhere. Cards that there are not stand at its end.
struct BoardState {
  bool pulled_out[kMostCards] = {};
  bool asserted[kMostLines] = {};
  CardState cards[kMostCards];
};
static_assert(std::is_trivially_copyable_v<BoardState>);

// What cards can reach by themselves, below 4 GiB as they need it.
struct alignas(4096) Memory {
  static constexpr std::uint64_t kPhysical = 0x10'0000;
  std::byte bytes[0x4'0000] = {};
};

// A card as drivers find it: one that was pulled out does not answer, also while those who are to know of it have not heard.
class Socket final : public Device {
 public:
  Socket(std::unique_ptr<Card> card, const bool& pulled_out) : card_(std::move(card)), pulled_out_(pulled_out) {}

  std::string_view name() const override { return card_->name(); }
  std::span<const RegisterRange> registers() const override { return card_->registers(); }
  int line() const override { return card_->line(); }
  MessageOffer messages() const override { return card_->messages(); }
  void grant_messages(unsigned granted) override { card_->grant_messages(granted); }
  std::uint64_t read(unsigned range, std::uint64_t offset, unsigned width) override {
    return pulled_out_ ? ~std::uint64_t{0} >> (64 - 8 * width) : card_->read(range, offset, width);
  }
  void write(unsigned range, std::uint64_t offset, unsigned width, std::uint64_t value) override {
    if (!pulled_out_) card_->write(range, offset, width, value);
  }

 private:
  std::unique_ptr<Card> card_;
  const bool& pulled_out_;
};

}  // namespace

struct CardBoard::Parts final : CardHost {
  explicit Parts(bool its_level) : level(its_level) {}

  Nanoseconds now() const override { return advancing ? advanced_to : host != nullptr ? host->now() : 0; }
  void settle() override { (void)settle_lines(); }
  void send_message(unsigned message) override {
    if (host == nullptr) return;
    host->send_message(message);
    has_said = true;
  }
  // Whoever is to be interrupted has been asked before the line falls again.
  void glitch(unsigned line) override {
    if (host == nullptr || state.asserted[line]) return;
    host->set_line(line, true);
    host->set_line(line, false);
    has_said = true;
  }
  bool read_memory(std::uint64_t physical, void* to, std::size_t size) override {
    const std::byte* const at = access(physical, size, false);
    if (at != nullptr) std::memcpy(to, at, size);
    return at != nullptr;
  }
  bool write_memory(std::uint64_t physical, const void* from, std::size_t size) override {
    std::byte* const at = access(physical, size, true);
    if (at != nullptr) std::memcpy(at, from, size);
    return at != nullptr;
  }
  void enter(const std::function<void()>& work) override { host != nullptr ? host->enter(work) : work(); }

  std::byte* access(std::uint64_t physical, std::size_t size, bool write) {
    const std::uint64_t offset = physical - Memory::kPhysical;
    if (memory_of_cards == nullptr || offset > sizeof(Memory) || size == 0 || size > sizeof(Memory) - offset) return nullptr;
    std::byte* const at = memory_of_cards->bytes + offset;
    if (host != nullptr) host->dma_accessed(at, size, write);
    return at;
  }
  // A line is asserted while any of its cards interrupts. True: one has changed.
  bool settle_lines() {
    bool changed = false;
    for (unsigned line = 0; line < lines && host != nullptr; ++line) {
      bool asserted = false;
      for (std::size_t number = 0; number < cards.size(); ++number)
        asserted = asserted || (!state.pulled_out[number] && cards[number]->line() == static_cast<int>(line) && cards[number]->interrupts());
      if (asserted == state.asserted[line]) continue;
      state.asserted[line] = asserted;
      host->set_line(line, asserted);
      changed = true;
    }
    return changed;
  }
  unsigned number_of(const Device& device) const {  // devices.size(): none of them
    return static_cast<unsigned>(std::find(devices.begin(), devices.end(), &device) - devices.begin());
  }
  std::span<Card* const> source(unsigned number) const {  // of a board without cards: none
    return std::span<Card* const>(cards).subspan(number, cards.empty() ? 0 : 1);
  }
  static Nanoseconds next_of(std::span<Card* const> those) {
    Nanoseconds next = kNever;
    for (const Card* const card : those) next = std::min(next, card->next_event());
    return next;
  }
  Nanoseconds advance(std::span<Card* const> those, Nanoseconds until) {
    for (;;) {
      const Nanoseconds next = next_of(those);
      if (next > until) return until;
      advancing = true;
      advanced_to = next;
      has_said = false;
      for (Card* const card : those)
        if (card->next_event() <= next) card->advance(next);
      advancing = false;
      if (settle_lines() || has_said) return next;
    }
  }
  CardState& room_for(int line) {
    KDPC_INVARIANT("K.CARD-1", host == nullptr && cards.size() < kMostCards && line < static_cast<int>(kMostLines));
    if (line >= static_cast<int>(lines)) lines = static_cast<unsigned>(line) + 1;
    return state.cards[cards.size()];
  }
  void need_memory() {
    if (memory_of_cards == nullptr) memory_of_cards = std::make_unique<Memory>();
  }
  void keep(std::unique_ptr<Card> card) {
    cards.push_back(card.get());
    sockets.push_back(std::make_unique<Socket>(std::move(card), state.pulled_out[sockets.size()]));
    devices.push_back(sockets.back().get());
  }

  const bool level;
  BoardHost* host = nullptr;
  BoardState state;
  std::unique_ptr<Memory> memory_of_cards;  // null: none of them needs it
  unsigned lines = 0, messages = 0;
  bool has_said = false;  // something that is no change of a line, while it advanced
  bool advancing = false;
  Nanoseconds advanced_to = 0;
  std::vector<std::unique_ptr<Socket>> sockets;
  std::vector<Card*> cards;      // in them
  std::vector<Device*> devices;  // the sockets
};

CardBoard::CardBoard(bool level) : parts_(std::make_unique<Parts>(level)) {}
CardBoard::~CardBoard() = default;

SerialPort& CardBoard::add(const SerialPortWish& wish) {
  SerialPort* port = nullptr;
  parts_->keep(make_serial_port(wish, parts_->room_for(wish.line), *parts_, port));
  return *port;
}

Converter& CardBoard::add(const ConverterWish& wish) {
  Converter* converter = nullptr;
  parts_->keep(make_converter(wish, parts_->room_for(wish.line), *parts_, converter));
  return *converter;
}

Pulse& CardBoard::add(const PulseWish& wish) {
  Pulse* pulse = nullptr;
  if (wish.records != 0) parts_->need_memory();
  parts_->keep(make_pulse(wish, parts_->messages, parts_->room_for(wish.line), *parts_, pulse));
  parts_->messages += wish.messages;
  return *pulse;
}

SoundCard& CardBoard::add(const SoundCardWish& wish) {
  SoundCard* card = nullptr;
  parts_->need_memory();
  parts_->keep(make_sound_card(wish, parts_->room_for(wish.line), *parts_, card));
  return *card;
}

void CardBoard::attach(BoardHost& host) {
  parts_->host = &host;
  for (Card* const card : parts_->cards) card->attached(host);
}
std::span<Device* const> CardBoard::devices() { return parts_->devices; }
unsigned CardBoard::lines() const { return parts_->lines; }
bool CardBoard::line_is_level(unsigned) const { return parts_->level; }
unsigned CardBoard::messages() const { return parts_->messages; }
DmaMemory CardBoard::dma() const {
  Memory* const memory = parts_->memory_of_cards.get();
  return memory == nullptr ? DmaMemory{} : DmaMemory{memory->bytes, Memory::kPhysical, sizeof(Memory)};
}
std::span<std::byte> CardBoard::state() {
  auto* const begin = reinterpret_cast<std::byte*>(&parts_->state);
  return {begin, reinterpret_cast<std::byte*>(&parts_->state.cards[parts_->cards.size()])};
}

bool CardBoard::pull_out(const Device& device) {
  const unsigned number = parts_->number_of(device);
  if (number == parts_->devices.size()) return false;
  parts_->state.pulled_out[number] = true;
  parts_->cards[number]->pulled_out();
  parts_->settle();
  return true;
}

Nanoseconds CardBoard::next_event() const { return Parts::next_of(parts_->cards); }
Nanoseconds CardBoard::advance_to(Nanoseconds until) { return parts_->advance(parts_->cards, until); }

unsigned CardBoard::sources() const { return std::max(static_cast<unsigned>(parts_->cards.size()), 1u); }
unsigned CardBoard::source_of(const Device& device) const { return parts_->number_of(device); }
Nanoseconds CardBoard::next_event_of(unsigned source) const { return Parts::next_of(parts_->source(source)); }
Nanoseconds CardBoard::advance_source(unsigned source, Nanoseconds until) { return parts_->advance(parts_->source(source), until); }

}  // namespace kdpc::cards
