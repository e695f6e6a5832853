package org.reattn;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.IntFunction;
import org.reattn.raw.RawConstants;

/** What crosses the border: exact text, paths, and outputs whose length is not known before. */
final class Native {
  private Native() {}

  /** UTF-8 of well-formed text. What is not, has no UTF-8; replacing it would be another text. */
  static byte[] utf8(String text) {
    try {
      ByteBuffer bytes = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      return Arrays.copyOf(bytes.array(), bytes.limit());
    } catch (CharacterCodingException unpaired) {
      throw new IllegalArgumentException("the text has a surrogate without its other half at index "
          + unpairedSurrogate(text));
    }
  }

  private static int unpairedSurrogate(String text) {
    int index = 0;
    while (index < text.length()) {
      int point = text.codePointAt(index);
      if (point >= Character.MIN_SURROGATE && point <= Character.MAX_SURROGATE) break;
      index += Character.charCount(point);
    }
    return index;
  }

  static String string(byte[] utf8) {
    return new String(utf8, StandardCharsets.UTF_8);
  }

  /** The bytes of a path as the system has them, whatever the locale makes of them as text. */
  static byte[] path(Path path) {
    if (path.getFileSystem() != FileSystems.getDefault()) {
      throw new IllegalArgumentException(path + " is no path of the default file system");
    }
    if (path.toString().isEmpty()) return new byte[0];
    String raw = path.toUri().getRawPath();
    byte[] bytes = new byte[raw.length()];
    int n = 0;
    for (int i = 0; i < raw.length(); i++) {
      char c = raw.charAt(i);
      if (c == '%') {
        c = (char) Integer.parseInt(raw, i + 1, i + 3, 16);
        i += 2;
      }
      bytes[n++] = (byte) c;
    }
    return Arrays.copyOf(bytes, n);
  }

  /** A call that fills an array, or says how long it must be. */
  interface Fill<A> {
    int into(A array, long[] needed);
  }

  static byte[] bytes(int guess, Fill<byte[]> fill) {
    long[] needed = new long[1];
    byte[] array = filled(byte[]::new, guess, fill, needed, 1);
    return needed[0] == array.length ? array : Arrays.copyOf(array, (int) needed[0]);
  }

  static int[] ints(int guess, Fill<int[]> fill) {
    long[] needed = new long[1];
    int[] array = filled(int[]::new, guess, fill, needed, 1);
    return needed[0] == array.length ? array : Arrays.copyOf(array, (int) needed[0]);
  }

  static float[] floats(int guess, Fill<float[]> fill) {
    long[] needed = new long[1];
    float[] array = filled(float[]::new, guess, fill, needed, 1);
    return needed[0] == array.length ? array : Arrays.copyOf(array, (int) needed[0]);
  }

  /** Elements of {@code size} numbers each. */
  static long[] longs(int guess, int size, Fill<long[]> fill) {
    long[] needed = new long[1];
    long[] array = filled(long[]::new, guess * size, fill, needed, size);
    return Arrays.copyOf(array, (int) needed[0] * size);
  }

  private static <A> A filled(
      IntFunction<A> make, int length, Fill<A> fill, long[] needed, int size) {
    A array = make.apply(length);
    while (fill.into(array, needed) == RawConstants.REATTN_E_BUFFER) {
      if (needed[0] > (Integer.MAX_VALUE - 8) / size) {
        throw new IllegalArgumentException(
            needed[0] + " elements do not fit into a Java array: ask for a smaller range");
      }
      array = make.apply((int) needed[0] * size);
    }
    return array;
  }
}
