import type { MultiaddrConnection, StreamMuxerFactory } from "@libp2p/interface";
import { yamux } from "@libp2p/yamux";
import { StreamState, type YamuxStream } from "@libp2p/yamux/stream";

type YamuxOptions = Parameters<typeof yamux>[0];
/** What the classes have beyond their published interface; the version is pinned exactly. */
type Stream = Pick<YamuxStream, "state"> & { recvWindow: number; recvWindowCapacity: number; sendWindowUpdate(): void };
type Muxer = { _newStream(...args: unknown[]): Stream };

/**
 * libp2p's yamux grants the other side anew what each frame has brought, with a frame of its own: half of all packets of a node that sends small
 * messages, and more of its time. As in other implementations it is granted here once half of the window is used up. Whether a stream was
 * accepted is told by what is sent on it first, which multistream-select does at once.
 */
function grantByHalves(stream: Stream): Stream {
  const grant = stream.sendWindowUpdate.bind(stream);
  const isOpen = () => stream.state === StreamState.Established || stream.state === StreamState.SYNReceived;
  stream.sendWindowUpdate = () => {
    const used = stream.recvWindow - stream.recvWindowCapacity;
    if (!isOpen() || used * 2 >= stream.recvWindow) grant();
  };
  return stream;
}

/** The stream muxer for the libp2p host. */
export function yamuxMuxer(options: YamuxOptions): () => StreamMuxerFactory {
  const create = yamux(options);
  return () => {
    const factory = create();
    const createStreamMuxer = factory.createStreamMuxer.bind(factory);
    factory.createStreamMuxer = (connection: MultiaddrConnection) => {
      const muxer = createStreamMuxer(connection);
      const internals = muxer as unknown as Muxer;
      const newStream = internals._newStream.bind(muxer);
      internals._newStream = (...args) => grantByHalves(newStream(...args));
      return muxer;
    };
    return factory;
  };
}
