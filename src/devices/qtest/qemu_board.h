// A QemuBoard is a Board whose devices are QEMU's: real parts' register models, run by one child process in our virtual time.
//
// The child is /usr/libexec/xen-qemu-system-i386 (Debian package qemu-system-xen) with the qtest accelerator: a PC without a processor.
// Guest memory is shared, so drivers and devices see each other's data without copies.
//
//   Q.B-1  advance_to() stops at the first line change or message, which it has told by set_line or send_message when it returns the time of it.
//          It may return without progress, when a posted write changed a line or sent a message.
//   Q.B-2  Lines also change and messages are sent inside register accesses; the host is told before the access returns. It must not call the
//          board back. Equal messages between two looks are one, as on the bus.
//   Q.B-3  A write is posted while no line is asserted: it takes effect in order, at the latest before the next read or advance. While a line is
//          asserted a write is waited for, so that an interrupt routine's acknowledgement lowers the line before the routine returns.
//          What a device reads from memory because of a write, it may read as late as the write takes effect.
//   Q.B-4  Equal calls give equal answers, lines and sound: nothing but these calls and the configuration goes in (QEMU's disks, random number
//          generator and network work in real time and are outside this promise).
//   Q.B-5  When QEMU dies or does not answer, BoardHost::fail is called once with its last words; then reads are all ones and time runs freely.
//   Q.B-6  The thread that starts the board must live as long as the board: the operating system ends the child with that thread.
#pragma once
#include <kdpc/device.h>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/qtest/channel.h"
#include "devices/qtest/child.h"
#include "devices/qtest/clock.h"
#include "devices/qtest/pci.h"

namespace kdpc::qtest {

// One -device option.
struct QemuDevice {
  std::string driver;   // QEMU's name: "AC97", "edu", "e1000e"
  std::string name;     // ours, as in scenarios; empty: not a PCI function but an accessory, such as a codec
  std::string options;  // further properties: "audiodev=sound"
  unsigned slot = 0;    // PCI slot, PciBus::kFirstSlot…kLastSlot; 0: the next free one
};

// An audio back end that writes what one sound card plays to a WAV file, in virtual time. The file grows while the card's channel runs, with silence
// where the card has no data. The card reads some 21 ms ahead of what is written; stopping its channel earlier loses that end.
struct WavOutput {
  std::string id;    // for the card's audiodev= property
  std::string path;  // complete once the board has ended
  unsigned frequency = 48000;
  unsigned channels = 2;
  std::string format = "s16";  // QEMU's names of sample formats
  // How often the card takes samples from memory; interrupts and underruns are exact to this. QEMU's own default of 10 ms blurs them too much.
  std::chrono::microseconds timer_period{500};
};

struct QemuConfig {
  std::string program = "/usr/libexec/xen-qemu-system-i386";
  unsigned memory_megabytes = 64;  // 2…2048
  std::vector<QemuDevice> devices;
  std::vector<WavOutput> outputs;
  std::vector<std::string> arguments;              // anything else for QEMU's command line: "-netdev", "…"
  bool one_processor = true;                       // see OneProcessor; speed only, never results
  std::chrono::milliseconds reply_timeout{30000};  // host time; a healthy QEMU answers in microseconds
};

class QemuBoard final : public Board, private Bridge {
 public:
  static Result<std::unique_ptr<QemuBoard>> start(const QemuConfig& config);
  ~QemuBoard() override;
  QemuBoard(const QemuBoard&) = delete;
  QemuBoard& operator=(const QemuBoard&) = delete;

  void attach(BoardHost& host) override;
  std::span<Device* const> devices() override { return devices_; }
  unsigned lines() const override { return kLines; }
  unsigned messages() const override { return messages_; }
  Nanoseconds next_event() const override { return kUnknown; }
  Nanoseconds advance_to(Nanoseconds until) override;
  DmaMemory dma() const override;

  // The same devices as devices(), with access to their configuration space.
  const std::vector<std::unique_ptr<PciFunction>>& functions() const { return functions_; }
  PciFunction* find(std::string_view name);

  // Ends QEMU and waits for it, so that its WAV files are complete. Afterwards the board behaves as a failed one, silently. The destructor does
  // the same, but cannot tell whether QEMU ended in order.
  Result<void> end();
  pid_t child_pid() const { return child_.pid(); }

 private:
  static constexpr unsigned kLines = 24;  // inputs of the I/O APIC; PCI functions use 20…23

  explicit QemuBoard(const QemuConfig& config);
  Result<void> launch(const QemuConfig& config);
  Result<void> set_up_functions(const QemuConfig& config, const std::vector<unsigned>& slots);
  void line_changed(unsigned line, bool asserted);
  void look_for_messages();
  std::string diagnosis();
  void report_failure();

  std::uint64_t read(BusSpace space, std::uint64_t address, unsigned width) override;
  void write(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value) override;

  SharedMemory memory_;
  OneProcessor one_processor_;
  Child child_;
  std::unique_ptr<Channel> channel_;
  std::unique_ptr<Clock> clock_;
  std::vector<std::unique_ptr<PciFunction>> functions_;
  std::vector<Device*> devices_;
  BoardHost* host_ = nullptr;
  std::chrono::milliseconds reply_timeout_;
  std::array<bool, kLines> levels_{};
  unsigned asserted_ = 0;  // number of true levels_
  unsigned messages_ = 0;  // of all functions
  bool changed_ = false;   // a level changed, or a message came, since advance_to() began
  bool ended_ = false;     // by end()
  bool reported_ = false;  // to host_->fail
};

}  // namespace kdpc::qtest
