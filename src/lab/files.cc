// An application's files and requests: plain handles over io/requests.h.
#include "io/requests.h"
#include "kdpc/lab.h"

namespace kdpc::lab {

namespace {

io::Request& request_of(void* handle) { return *static_cast<io::Request*>(handle); }
io::File& file_of(void* handle) { return *static_cast<io::File*>(handle); }

}  // namespace

bool PendingIo::wait(std::optional<Duration> limit) const {
  if (!limit) return io::requests::wait_for(request_of(request_));
  const std::int64_t timeout = -static_cast<std::int64_t>((limit->nanoseconds + kNanosecondsPer100 - 1) / kNanosecondsPer100);
  return io::requests::wait_for(request_of(request_), &timeout);
}

bool PendingIo::cancel() const { return io::requests::cancel(request_of(request_)); }

IoResult PendingIo::finish() {
  if (request_ == nullptr) return {STATUS_INSUFFICIENT_RESOURCES, 0};
  const io::IoResult result = io::requests::finish(&request_of(request_));
  request_ = nullptr;
  return {result.status, result.information};
}

std::int32_t DeviceFile::open(std::string_view name) {
  io::File* opened = nullptr;
  const io::Name wide(name);
  const NTSTATUS status = wide.too_long() ? STATUS_NAME_TOO_LONG : io::requests::open(wide.view(), opened);
  file_ = opened;
  return status;
}

void DeviceFile::close() {
  if (file_ == nullptr) return;
  io::requests::close(&file_of(file_));
  file_ = nullptr;
}

PendingIo DeviceFile::begin_read(void* buffer, std::size_t size, std::uint64_t offset) {
  PendingIo pending;
  pending.request_ = io::requests::begin_read(file_of(file_), buffer, size, offset);
  return pending;
}

PendingIo DeviceFile::begin_write(const void* data, std::size_t size, std::uint64_t offset) {
  PendingIo pending;
  pending.request_ = io::requests::begin_write(file_of(file_), data, size, offset);
  return pending;
}

PendingIo DeviceFile::begin_control(std::uint32_t code, const void* input, std::size_t input_size, void* output, std::size_t output_size) {
  PendingIo pending;
  pending.request_ = io::requests::begin_control(file_of(file_), code, input, input_size, output, output_size);
  return pending;
}

PendingIo DeviceFile::begin_flush() {
  PendingIo pending;
  pending.request_ = io::requests::begin_flush(file_of(file_));
  return pending;
}

IoResult DeviceFile::flush() { return begin_flush().finish(); }
IoResult DeviceFile::read(void* buffer, std::size_t size, std::uint64_t offset) { return begin_read(buffer, size, offset).finish(); }
IoResult DeviceFile::write(const void* data, std::size_t size, std::uint64_t offset) { return begin_write(data, size, offset).finish(); }
IoResult DeviceFile::control(std::uint32_t code, const void* input, std::size_t input_size, void* output, std::size_t output_size) {
  return begin_control(code, input, input_size, output, output_size).finish();
}

}  // namespace kdpc::lab
