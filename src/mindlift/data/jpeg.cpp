// A part of a JPEG, by the libjpeg-turbo that Pillow brings: what is beside the part is skipped, which OpenCV can't.
//
// Nothing of libjpeg is linked: data/kernels.py hands over the addresses of its functions, because there is seldom a header where
// programs run. Its structures begin as libjpeg 6b has them (the interface "62", jpeglib.h), which libjpeg checks by
// number and size when a decoder is made.

#include <algorithm>
#include <csetjmp>
#include <cstdint>
#include <cstring>

namespace {

const int kVersion = 62, kRgb = 2;
const int kLines = 4;  // at most that libjpeg gives at a time

struct Errors {  // jpeg_error_mgr, and what is ours
  void (*exit)(void *);
  void (*emit)(void *, int);
  void *others[3];
  int code, first_parameter;  // of the last message
  char rest[504];
  std::jmp_buf back;
  bool has_warned;
};

struct Decoder {  // jpeg_decompress_struct
  Errors *errors;
  void *memory, *progress, *client;
  int is_decoder, state;
  void *source;
  unsigned image_width, image_height;
  int components, colours;
  int wanted_colours;
  unsigned scale_up, scale_down;
  double gamma;
  int choices[12];
  unsigned width, height;
  int numbers[4];
  uint8_t **map;
  unsigned line;
  char rest[1024];
};

struct Library {  // in the order of data/kernels.py
  void *(*std_error)(Errors *);
  void (*create)(Decoder *, int version, size_t size);
  void (*source)(Decoder *, const uint8_t *data, unsigned long count);
  int (*read_header)(Decoder *, int needs_image);
  int (*start)(Decoder *);
  void (*crop)(Decoder *, unsigned *left, unsigned *width);
  unsigned (*skip)(Decoder *, unsigned lines);
  unsigned (*read)(Decoder *, uint8_t **lines, unsigned count);
  void (*destroy)(Decoder *);
};

void leave(void *decoder) { std::longjmp(static_cast<Decoder *>(decoder)->errors->back, 1); }

void note(void *decoder, int level) {
  if (level < 0) static_cast<Decoder *>(decoder)->errors->has_warned = true;
}

void begin(const Library &library, Decoder *decoder, Errors *errors) {
  std::memset(decoder, 0, sizeof(*decoder));
  std::memset(errors, 0, sizeof(*errors));
  library.std_error(errors);
  errors->exit = leave;
  errors->emit = note;
  decoder->errors = errors;
}

}  // namespace

extern "C" {

// The size of libjpeg's structure, which its complaint about a wrong one tells; a number below 512, its own, for another
// interface than "62"; 0 if it does not complain.
int64_t jpeg_size(const Library *library) {
  Decoder decoder;
  Errors errors;
  begin(*library, &decoder, &errors);
  if (setjmp(errors.back)) return errors.first_parameter;
  library->create(&decoder, kVersion, 1);
  library->destroy(&decoder);
  return 0;
}

// Lines top, top + 1, ... (`rows` of them) of an image whose sides are divided by `factor`, and in them at least the columns
// left ... left + columns - 1, into `found` (rows, most, 3) RGB. The column that they begin with is `began`. Not 0 if
// libjpeg says that anything is wrong with the data.
int jpeg_part(const Library *library, int64_t size, const uint8_t *data, int64_t count, int factor, int top, int left,
              int rows, int columns, int most, uint8_t *found, int *began) {
  Decoder decoder;
  Errors errors;
  begin(*library, &decoder, &errors);
  if (setjmp(errors.back)) {
    library->destroy(&decoder);
    return 1;
  }
  library->create(&decoder, kVersion, static_cast<size_t>(size));
  library->source(&decoder, data, static_cast<unsigned long>(count));
  library->read_header(&decoder, 1);
  decoder.scale_up = 1;
  decoder.scale_down = static_cast<unsigned>(factor);
  decoder.wanted_colours = kRgb;
  library->start(&decoder);
  unsigned first = static_cast<unsigned>(left), width = static_cast<unsigned>(columns);
  const unsigned end = static_cast<unsigned>(top + rows);
  bool fits = first + width <= decoder.width && end <= decoder.height;
  if (fits && width < decoder.width) library->crop(&decoder, &first, &width);
  fits = fits && decoder.width <= static_cast<unsigned>(most);
  if (fits && top) library->skip(&decoder, static_cast<unsigned>(top));
  while (fits && decoder.line < end) {
    uint8_t *lines[kLines];
    const unsigned wanted = std::min<unsigned>(kLines, end - decoder.line);
    for (unsigned i = 0; i < wanted; i++)
      lines[i] = found + static_cast<int64_t>(decoder.line - top + i) * most * 3;
    fits = library->read(&decoder, lines, wanted) > 0;
  }
  *began = static_cast<int>(first);
  library->destroy(&decoder);
  return !fits || errors.has_warned;
}

}  // extern "C"
