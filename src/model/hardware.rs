//! Where models compute: on threads of the processor or, if the program was built for one and there
//! is one, on a graphics processor.
//!
//! Invariant: only a verifier computes elsewhere than on the processor; the bundled model is too
//! small to gain from it.

use super::free_memory::free_memory;
use super::reward::ModelError;
use super::threads::Threads;
use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};

/// Where a model computes.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// For what is computed on the processor.
    pub threads: Threads,
    /// Where a verifier computes; the processor if none.
    pub accelerator: Option<Device>,
}

impl From<Threads> for Hardware {
    fn from(threads: Threads) -> Self {
        Self {
            threads,
            accelerator: None,
        }
    }
}

impl std::fmt::Display for Hardware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.accelerator {
            None => write!(f, "processor"),
            Some(device) => write!(f, "{:?}", device.location()),
        }
    }
}

impl Hardware {
    /// Whether the program was built for graphics processors of some kind.
    #[must_use]
    pub fn may_have_accelerator() -> bool {
        cuda_is_available() || metal_is_available()
    }

    /// The first graphics processor.
    ///
    /// # Errors
    /// [`ModelError::Device`], which says what to do, if none can be used.
    pub fn first_accelerator() -> Result<Device, ModelError> {
        first().map_err(ModelError::Device)
    }

    /// Bytes that a verifier may take where it computes, if that can be told: for the processor,
    /// without pushing out other programs.
    pub(super) fn free_memory(&self) -> Option<u64> {
        match &self.accelerator {
            None => free_memory(),
            #[cfg(feature = "cuda")]
            Some(Device::Cuda(device)) => {
                let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
                u64::try_from(free).ok()
            }
            #[cfg(feature = "metal")]
            Some(Device::Metal(device)) => {
                u64::try_from(device.metal_device().recommended_max_working_set_size()).ok()
            }
            Some(_) => None,
        }
    }
}

fn first() -> Result<Device, String> {
    let found = if cuda_is_available() {
        Device::new_cuda(0)
    } else if metal_is_available() {
        Device::new_metal(0)
    } else {
        return Err(
            "this program was built for the processor only: build it with \
            `--features cuda` or `--features metal`, or use `--device cpu`"
                .into(),
        );
    };
    found.map_err(|error| {
        let error = error.to_string();
        let reason = error.lines().next().unwrap_or_default();
        format!("no graphics processor can be used: {reason}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_build_without_graphics_processors_says_so() {
        assert!(!Hardware::may_have_accelerator());
        let error = Hardware::first_accelerator().unwrap_err().to_string();
        assert!(error.contains("--features cuda"), "{error}");
    }
}
