import org.infinispan.commons.marshall.WrappedBytes;
import org.infinispan.distribution.ch.impl.HashFunctionPartitioner;

/**
 * Places keys by their hash, with two exceptions: keys that begin with "near" are in a neighbouring segment, keys that
 * begin with "far" in a distant one.
 */
public class Placement extends HashFunctionPartitioner {
   @Override
   public int getSegment(Object key) {
      int segment = super.getSegment(key);
      if (!(key instanceof WrappedBytes)) {
         return segment;
      }
      byte[] bytes = ((WrappedBytes) key).getBytes();
      if (bytes.length > 3 && bytes[0] == 'n') {
         return segment ^ 1;
      }
      return bytes.length > 3 && bytes[0] == 'f' ? (segment + numSegments / 2) % numSegments : segment;
   }
}
